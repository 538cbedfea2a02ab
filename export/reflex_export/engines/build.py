"""`build_engine`: from the cache, or built by a worker process, once however many ask."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pydantic import TypeAdapter

from reflex.errors import SetupError
from reflex_export.engines.cache import PLAN_FILE, EngineCache, default_cache_folder
from reflex_export.engines.compiler import BuildJob
from reflex_export.engines.device import first_gpu
from reflex_export.engines.errors import EngineError, GraphRefusedError
from reflex_export.engines.onnx_file import read_onnx
from reflex_export.engines.precision import Precision, check_graph, check_precision
from reflex_export.engines.profile import Profile
from reflex_export.engines.promise import promised_multiplications
from reflex_export.engines.record import BuildOptions, EngineManifest, EngineRecord, LayerPrecision, build_key
from reflex_export.engines.toolkit import Toolkit, load_toolkit
from reflex_export.progress import Stage

__all__ = ["BuildProgress", "ProgressReport", "build_engine", "require_engine", "stage_of", "target_of"]

PORTABLE: Final = "rtx-sm80-and-later"
SHOWN_LOG_CHARACTERS: Final = 2_000
# Made here, once: native code makes them, and swallows a Ctrl-C that comes meanwhile.
JOB: Final = TypeAdapter(BuildJob)
PRECISION: Final = TypeAdapter(LayerPrecision)
ERRORS: Final[dict[str, type[SetupError]]] = {kind.__name__: kind for kind in (GraphRefusedError, EngineError)}


@dataclass(frozen=True)
class BuildProgress:
    """What a build is doing; `fraction` of the phase from 0 to 1 where TensorRT tells."""

    onnx: Path
    phase: str
    fraction: float | None


ProgressReport = Callable[[BuildProgress], object]


def stage_of(step: BuildProgress) -> Stage:
    """How a build's progress is shown: one stage for each component."""
    name = f"building the engine of {step.onnx.parent.parent.name}" if step.onnx.suffix else "building the engines"
    done = "" if step.fraction is None else f" {step.fraction:.0%}"
    return Stage(name, detail=f"{step.phase}{done}")


def build_engine(
    onnx_path: Path,
    profile: Profile,
    options: BuildOptions,
    *,
    cache: Path | None = None,
    precision: Precision | None = None,
    progress: ProgressReport | None = None,
) -> EngineRecord:
    """The engine of this graph for this machine (`tensorrt`) or for RTX GPUs (`tensorrt-rtx`).

    `precision` is what the policy claims to compute in; a graph or an engine that does not is refused. Blocks for
    minutes with a large graph. `SetupError` when TensorRT is absent, `EngineError` when nothing could be built.
    """
    report = progress or (lambda _: None)
    toolkit = load_toolkit(options.engine)
    target = target_of(options)
    graph = read_onnx(onnx_path)
    promised = promised_multiplications(onnx_path) if precision is not None else {}
    if precision is not None:
        check_graph(promised, precision, str(onnx_path))
    key = build_key(graph, toolkit.version, target, profile, options)
    store = EngineCache(cache or default_cache_folder())
    record = store.find(key)
    if record is None:
        build = _Build(store, toolkit, target, key, graph.sha256, profile, options)
        record = build.run(onnx_path, report)
    if precision is not None:
        check_precision(record.manifest.precision, promised, precision, str(onnx_path))
    return record


def require_engine(options: BuildOptions) -> None:
    """`SetupError`, which says what to install or where to go, when engines of this kind cannot be built here."""
    load_toolkit(options.engine)
    target_of(options)


def target_of(options: BuildOptions) -> str:
    """The GPUs that an engine built here is for; `SetupError` when it takes one to build, and there is none."""
    if options.engine == "tensorrt-rtx":
        return "rtx-" + "-".join(sorted(options.targets)).lower() if options.targets else PORTABLE
    gpu = first_gpu()
    if gpu is None:
        raise SetupError(
            "tensorrt builds on the GPU that will serve, and this machine shows none (is the driver installed, the "
            "container started with --gpus all?); --engine tensorrt-rtx builds without a GPU, for RTX GPUs"
        )
    return gpu.target


@dataclass(frozen=True)
class _Build:
    """One engine that the cache lacks."""

    store: EngineCache
    toolkit: Toolkit
    target: str
    key: str
    onnx_sha256: str
    profile: Profile
    options: BuildOptions

    def run(self, onnx_path: Path, report: ProgressReport) -> EngineRecord:
        def waits(_holder: str) -> None:
            report(BuildProgress(onnx_path, "waiting for another build of the same engine", None))

        with self.store.building(self.key, waits) as (folder, lock):
            finished = self.store.find(self.key)  # by whoever held the lock before us
            if finished is not None:
                return finished
            started_s = time.monotonic()
            plan = folder / PLAN_FILE
            layers = _run_worker(BuildJob(onnx_path, plan, self.profile, self.options, self._timings()), lock, report)
            return self.store.publish(self._manifest(plan, layers, time.monotonic() - started_s))

    def _timings(self) -> Path | None:
        if self.options.engine != "tensorrt":
            return None
        return self.store.timing_file(self.toolkit.version, self.target)

    def _manifest(self, plan: Path, layers: LayerPrecision, build_s: float) -> EngineManifest:
        with plan.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return EngineManifest(
            key=self.key,
            version=self.toolkit.version,
            target=self.target,
            onnx_sha256=self.onnx_sha256,
            plan_sha256=digest,
            plan_bytes=plan.stat().st_size,
            build_s=round(build_s, 3),
            options=self.options,
            profile=self.profile,
            precision=layers,
        )


def _run_worker(job: BuildJob, lock: int, report: ProgressReport) -> LayerPrecision:
    """Build in a worker, which inherits the lock: should we be killed, nobody else builds before it has ended, too."""
    with tempfile.TemporaryFile() as log, _worker(job, lock, log) as (process, events):
        for line in events:
            event = json.loads(line)
            if "precision" in event:
                # The process would take another second to end by itself; leaving the context kills it.
                return PRECISION.validate_python(event["precision"])
            if "error" in event:
                raise ERRORS.get(event["kind"], SetupError)(event["error"])
            report(BuildProgress(job.onnx, event["phase"], event["fraction"]))
        raise EngineError(f"TensorRT ended while building {job.onnx} ({_death(process.wait())}){_tail(log)}")


@contextlib.contextmanager
def _worker(job: BuildJob, lock: int, log: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], IO[str]]]:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, encoding="utf-8") as events:
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; the command is ours
                [sys.executable, "-P", "-m", "reflex_export.engines.worker", str(write_end)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(write_end, lock),
            )  # fmt: skip
        finally:
            os.close(write_end)
        assert process.stdin is not None  # noqa: S101 - PIPE was asked for
        try:
            # It may be dead already; then its events end, and whoever reads them says so.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(JOB.dump_json(job) + b"\n")
                process.stdin.flush()
            yield process, events
        finally:
            # Also after Ctrl-C: TensorRT itself cannot be interrupted.
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed, probably because memory ran out; a smaller workspace or a machine with more memory helps"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    text = log.read().decode(errors="replace").strip()[-SHOWN_LOG_CHARACTERS:]
    return f". Its last words:\n{text}" if text else ""
