"""ONNX file -> plan: one code path for TensorRT 10.16, 11 and TensorRT for RTX. Runs in the worker's process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.durable_files import replace_file
from reflex.errors import SetupError
from reflex_export.engines.device import first_gpu
from reflex_export.engines.errors import EngineError, GraphRefusedError
from reflex_export.engines.precision import network_precision, plan_types
from reflex_export.engines.profile import Profile
from reflex_export.engines.record import BuildOptions, LayerPrecision
from reflex_export.engines.toolkit import Toolkit, load_toolkit

__all__ = ["BuildJob", "PhaseReport", "compile_plan", "quiet_logger"]

PhaseReport = Callable[[str, float | None], None]
"""Called with a phase's name, and how much of it is done from 0 to 1 where that is known."""
REPORT_EVERY_S: Final = 0.1
MAX_LISTED_NODES: Final = 20
MAX_LOGGED_ERRORS: Final = 5
NO_GPU: Final = "Cuda Runtime (In"
"""TensorRT for RTX logs this after each real error on a machine without a GPU; it never is the reason."""


@dataclass(frozen=True)
class BuildJob:
    """Everything that the worker is told."""

    onnx: Path
    plan: Path
    """Where to write, a path that nobody reads before the build is over."""
    profile: Profile
    options: BuildOptions
    timing_cache: Path | None
    """tensorrt: measured tactics, kept from build to build. TensorRT for RTX measures nothing at build time."""


def compile_plan(job: BuildJob, report: PhaseReport) -> LayerPrecision:
    """Build and write the plan; `EngineError` carries TensorRT's own words."""
    toolkit = load_toolkit(job.options.engine)
    trt = toolkit.api
    logger = quiet_logger(trt)
    report("reading the graph", None)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(trt, network, job.onnx, logger)
    _allow_any_attention(trt, network)
    precision = network_precision(trt, network)
    config = _configuration(toolkit, builder, job)
    config.progress_monitor = _monitor(trt, report)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"TensorRT built no engine from {job.onnx}: {_last_words(logger)}")
    with job.plan.open("wb") as file:
        file.write(plan)
    _keep_timings(config, job)
    return _with_built_layers(trt, plan, logger, precision)


def _parse(trt: Any, network: Any, path: Path, logger: Any) -> None:  # noqa: ANN401 - TensorRT's bindings carry no types
    parser = trt.OnnxParser(network, logger)
    # From a path: only then are weights in other files found.
    if not parser.parse_from_file(str(path)):
        raise GraphRefusedError(_refusal(path, [parser.get_error(i) for i in range(parser.num_errors)], logger))
    if not network.num_inputs or not network.num_outputs:
        raise GraphRefusedError(f"{path} has no inputs or no outputs; export the policy again")


def _allow_any_attention(trt: Any, network: Any) -> None:  # noqa: ANN401
    """Where no kernel of TensorRT takes a head's width or type, attention is spelled out; else the build would fail."""
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type.name == "ATTENTION_INPUT":
            layer.__class__ = trt.IAttentionInputLayer  # the bindings' own way to a layer's special properties
            layer.attention.decomposable = True


def _refusal(path: Path, errors: list[Any], logger: Any) -> str:  # noqa: ANN401
    lines = [f"  node {e.node_name() or e.node()} ({e.node_operator() or 'the graph'}): {_reason(e)}" for e in errors]
    if not lines:
        lines = [f"  {_last_words(logger)}"]
    more = [f"  and {len(lines) - MAX_LISTED_NODES} more"] if len(lines) > MAX_LISTED_NODES else []
    return "\n".join([f"TensorRT cannot take {path}:", *lines[:MAX_LISTED_NODES], *more])


def _reason(error: Any) -> str:  # noqa: ANN401
    """One line; an operator that is simply not supported is described by the parser as `false`."""
    lines = [line.strip() for line in error.desc().splitlines()]
    reasons = [line for line in lines if line and not line.startswith("Invalid Node") and NO_GPU not in line]
    text: str = reasons[0] if reasons else error.code().name
    if text == "false":
        return "this operator is not supported"
    if "Plugin not found" in text:
        return "unknown operator, and no plugin of that name is loaded"
    return text


def _configuration(toolkit: Toolkit, builder: Any, job: BuildJob) -> Any:  # noqa: ANN401
    trt, options = toolkit.api, job.options
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    # Else the plan does not tell the inspector the layers' types.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if not options.allow_tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    _add_profile(builder, config, job.profile)
    _set_targets(toolkit, config, options.targets)
    if job.timing_cache is not None:
        stored = job.timing_cache.read_bytes() if job.timing_cache.exists() else b""
        config.set_timing_cache(config.create_timing_cache(stored), ignore_mismatch=False)
    return config


def _add_profile(builder: Any, config: Any, profile: Profile) -> None:  # noqa: ANN401
    described = builder.create_optimization_profile()
    for name, shapes in profile.items():
        described.set_shape(name, shapes.minimum, shapes.optimum, shapes.maximum)
    if config.add_optimization_profile(described) < 0:
        raise EngineError(f"TensorRT refuses the optimisation profile {dict(profile)}")


def _set_targets(toolkit: Toolkit, config: Any, targets: tuple[str, ...]) -> None:  # noqa: ANN401
    """Without targets TensorRT for RTX builds for every RTX GPU from SM80 on, TensorRT for the GPU at hand."""
    if not targets:
        return
    if toolkit.engine != "tensorrt-rtx":
        raise SetupError("tensorrt builds for the GPU of this machine only; leave the targets out")
    known = {name: value for name, value in toolkit.api.ComputeCapability.__members__.items() if name.startswith("SM")}
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        if target not in known:
            raise SetupError(f"{target} is no target of {toolkit.engine} {toolkit.version}; it has {', '.join(known)}")
        config.set_compute_capability(known[target], index)


def _keep_timings(config: Any, job: BuildJob) -> None:  # noqa: ANN401
    if job.timing_cache is not None:
        replace_file(job.timing_cache, bytes(config.get_timing_cache().serialize()))


def _with_built_layers(trt: Any, plan: Any, logger: Any, precision: LayerPrecision) -> LayerPrecision:  # noqa: ANN401
    """Add what the finished plan says of itself, where there is a GPU to load it on."""
    if first_gpu() is None:
        return precision
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        return precision  # built for another GPU than this machine's
    inspection = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return dataclasses.replace(precision, built_layers=plan_types(inspection or ""))


def quiet_logger(trt: Any) -> Any:  # noqa: ANN401
    """Its words are kept, and printed nowhere."""

    class ErrorLog(trt.ILogger):  # type: ignore[misc]  # the base class is known only at run time
        """Keeps what TensorRT calls an error: it returns None and says why only here."""

        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
            if severity <= trt.ILogger.ERROR and NO_GPU not in message:
                self.errors.append(message.strip())

    return ErrorLog()


def _last_words(logger: Any) -> str:  # noqa: ANN401
    errors: list[str] = logger.errors
    return " / ".join(errors[-MAX_LOGGED_ERRORS:]) or "it gave no reason"


def _monitor(trt: Any, report: PhaseReport) -> Any:  # noqa: ANN401
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Hands on what is being done; TensorRT wants to hear True, else it stops."""

        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}
            self._reported_at_s = time.monotonic()

        def phase_start(self, phase_name: str, _parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            report(phase_name, None)

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            # Some phases have a step for each of thousands of layers.
            if time.monotonic() - self._reported_at_s > REPORT_EVERY_S:
                self._reported_at_s = time.monotonic()
                report(phase_name, min(1.0, (step + 1) / max(1, self._steps.get(phase_name, 1))))
            return True

    return Monitor()
