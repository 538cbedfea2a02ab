"""`build_repository`: engines for the policies of a model repository, from the ONNX files that ship in it.

<policy>_encoder/   config.pbtxt, 1/model.onnx, 1/model.plan, 1/engine.json
<policy>_denoise/   the same; the preprocess stays ONNX, it is a resize and takes images of any size

Every single step of publishing leaves a repository that can be served: a plan lies unused until its config.pbtxt names
the backend, and a component with an engine computes what its ONNX did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from reflex.errors import RepositoryError
from reflex.policy_config import CONFIG_FILE, PolicyConfig, read_policy_config
from reflex_export.engines.build import BuildProgress, ProgressReport, build_engine
from reflex_export.engines.cache import PLAN_FILE, file_lock
from reflex_export.engines.config_text import ConfigTextError, component_names, max_batch_size, with_backend
from reflex_export.engines.errors import EngineError
from reflex_export.engines.onnx_file import GraphInput, read_onnx
from reflex_export.engines.profile import Profile, profile_of
from reflex_export.engines.publish import copy_file, replace_file
from reflex_export.engines.record import BuildOptions, EngineRecord
from reflex_export.engines.toolkit import Engine

__all__ = ["BACKENDS", "ComponentEngine", "PolicyEngines", "build_repository", "engine_blocks"]

BACKENDS: Final[Mapping[Engine, str]] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Triton's name for the backend that loads such a plan. It comes with a `tensorrt`, and with no `tensorrt_rtx`."""
VERSION_DIR: Final = "1"
ONNX_FILE: Final = "model.onnx"
MANIFEST_FILE: Final = "engine.json"
LOCK_FILE: Final = ".reflex-engines.lock"
PREPROCESS_SUFFIX: Final = "_preprocess"


@dataclass(frozen=True)
class ComponentEngine:
    """One component's engine."""

    name: str
    plan: Path
    """Where it lies in the repository."""
    record: EngineRecord


@dataclass(frozen=True)
class PolicyEngines:
    """What was built for a policy; `active` when its config.pbtxt files make Triton load the plans."""

    policy: str
    engine: Engine
    active: bool
    components: tuple[ComponentEngine, ...]


def build_repository(
    repository: Path,
    policy: str | None,
    engine: Engine,
    *,
    options: BuildOptions | None = None,
    best_batch: int = 1,
    activate: bool | None = None,
    cache: Path | None = None,
    progress: ProgressReport | None = None,
) -> tuple[PolicyEngines, ...]:
    """Build and publish the engines of one policy, or of all when `policy` is None.

    `activate` says whether config.pbtxt shall name the engine's backend; None does so where Triton itself has that
    backend. All of a policy's engines are built before the first is published. `SetupError` says what is missing.
    """
    chosen = options or BuildOptions(engine)
    if chosen.engine != engine:
        raise ValueError(f"options are for {chosen.engine}, not {engine}")
    plan = _Plan(chosen, best_batch, engine == "tensorrt" if activate is None else activate, cache, progress)
    names = [policy] if policy is not None else _policies(repository)
    return tuple(_build_policy(repository, name, plan) for name in names)


def engine_blocks(inputs: tuple[GraphInput, ...], profile: Profile, max_batch: int) -> list[str]:
    """What config.pbtxt says for an engine: CUDA graphs, and a warm-up with zeros at the least and greatest batch."""
    sizes = sorted({1, max(1, max_batch)})
    warmups = [_warmup(inputs, profile, size, is_batched=max_batch > 0) for size in sizes]
    return ["optimization { cuda { graphs: true } }", *warmups]


@dataclass(frozen=True)
class _Plan:
    """What is the same for every component."""

    options: BuildOptions
    best_batch: int
    activate: bool
    cache: Path | None
    progress: ProgressReport | None


@dataclass(frozen=True)
class _Built:
    """A component whose engine is in the cache, not yet in the repository."""

    folder: Path
    blocks: list[str]
    record: EngineRecord


def _policies(repository: Path) -> list[str]:
    names = sorted(path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}"))
    if not names:
        raise RepositoryError(f"{repository} holds no policy; make one with `reflex export`")
    return names


def _build_policy(repository: Path, name: str, plan: _Plan) -> PolicyEngines:
    folder = repository / name
    policy = read_policy_config(folder)
    wanted = [part for part in _components(folder) if not part.endswith(PREPROCESS_SUFFIX)]
    built = [_build_component(repository / part, policy, plan) for part in wanted]
    with _locked(repository, plan):
        engines = tuple(_publish(component, plan) for component in built)
        if plan.activate:
            replace_file(folder / CONFIG_FILE, _described(policy, plan.options.engine, built))
    return PolicyEngines(name, plan.options.engine, plan.activate, engines)


def _components(folder: Path) -> list[str]:
    path = folder / "config.pbtxt"
    try:
        names = component_names(_text_of(path))
    except ConfigTextError as exc:
        raise _not_a_config(path, exc) from exc
    if not names:
        raise RepositoryError(f"{path} chains no models; export the policy again")
    return names


def _build_component(folder: Path, policy: PolicyConfig, plan: _Plan) -> _Built:
    path = folder / VERSION_DIR / ONNX_FILE
    if not path.exists():
        raise EngineError(f"{path} is missing, and engines are built from it alone; export the policy again")
    batch = _max_batch_size(folder / "config.pbtxt")
    inputs = read_onnx(path).inputs
    profile = profile_of(inputs, max_batch=max(1, batch), best_batch=plan.best_batch)
    record = build_engine(
        path, profile, plan.options, cache=plan.cache, precision=policy.precision, progress=plan.progress
    )
    return _Built(folder, engine_blocks(inputs, profile, batch), record)


def _max_batch_size(path: Path) -> int:
    try:
        return max_batch_size(_text_of(path))
    except ValueError as exc:  # of the text's form, or of the number
        raise _not_a_config(path, exc) from exc


def _publish(built: _Built, plan: _Plan) -> ComponentEngine:
    version = built.folder / VERSION_DIR
    manifest = built.record.manifest
    if not _is_published(version / PLAN_FILE, manifest.plan_sha256, manifest.plan_bytes):
        copy_file(built.record.plan, version / PLAN_FILE)
    replace_file(version / MANIFEST_FILE, manifest.to_json())
    if plan.activate:
        path = built.folder / "config.pbtxt"
        replace_file(path, with_backend(_text_of(path), BACKENDS[plan.options.engine], built.blocks).encode())
    return ComponentEngine(built.folder.name, version / PLAN_FILE, built.record)


def _is_published(path: Path, sha256: str, size_bytes: int) -> bool:
    if not path.is_file() or path.stat().st_size != size_bytes:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == sha256


def _described(policy: PolicyConfig, engine: Engine, built: list[_Built]) -> bytes:
    """reflex_config.json of the policy with its engines. The parity record goes: it was measured without them."""
    changes = {
        "engine": engine,
        "inference_mode": "onnx_trt_fp16" if policy.precision == "fp16" else "decomposed",
        "parity": None,
        "versions": {**policy.versions, engine: built[0].record.manifest.version},
    }
    return policy.model_copy(update=changes).model_dump_json(indent=2).encode() + b"\n"


def _locked(repository: Path, plan: _Plan) -> AbstractContextManager[IO[bytes]]:
    def waits() -> None:
        if plan.progress is not None:
            plan.progress(BuildProgress(repository, "waiting for another build to publish", None))

    return file_lock(repository / LOCK_FILE, waits)


def _warmup(inputs: tuple[GraphInput, ...], profile: Profile, batch: int, *, is_batched: bool) -> str:
    lines = [_zeros(tensor, profile[tensor.name].optimum, is_batched=is_batched) for tensor in inputs]
    return "\n".join(
        [
            "model_warmup [ {",
            f'  name: "batch of {batch}"',
            f"  batch_size: {batch if is_batched else 0}",
            *lines,
            "} ]",
        ]
    )


def _zeros(tensor: GraphInput, shape: tuple[int, ...], *, is_batched: bool) -> str:
    dims = ", ".join(str(size) for size in (shape[1:] if is_batched else shape))
    value = f"data_type: TYPE_{tensor.datatype} dims: [ {dims} ] zero_data: true"
    return f'  inputs {{ key: "{tensor.name}" value {{ {value} }} }}'


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise RepositoryError(f"{path} cannot be read ({exc.strerror}); export the policy again") from exc


def _not_a_config(path: Path, reason: Exception) -> RepositoryError:
    return RepositoryError(f"{path} is no Triton model configuration: {reason}; export the policy again")
