"""Engines are compared with the ONNX that they were built from, on the GPU that serves, before they are published.

The same ONNX built again can differ severalfold. The canary's observation is asked, with four noises: its checkpoint
need not be on the machine that serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from reflex.device_parity import DeviceParityConfig
from reflex.errors import RepositoryError
from reflex.model_repository import model_file
from reflex.policy_config import PolicyConfig
from reflex_export.checking.device_record import device_parity
from reflex_export.checking.parity import Parity, PolicyRunner, gate_of
from reflex_export.checking.rounding import Runner
from reflex_export.checking.serving_device import ServingDevice
from reflex_export.engines.device import driver_version, first_gpu
from reflex_export.engines.plan_runner import PlanRunner
from reflex_export.engines.toolkit import Engine, Toolkit, load_toolkit
from reflex_export.errors import DeviceError, ParityError
from reflex_export.graph.graph import Array

__all__ = ["compare_engines", "measure_engines"]

NOISES: Final = 4
AGAINST: Final = "the ONNX on the CPU"


def measure_engines(
    repository: Path, config: PolicyConfig, plans: Mapping[str, Path], engine: Engine
) -> DeviceParityConfig | None:
    """What the record keeps; `ParityError` for a policy whose engines miss its gate.

    `plans` is by model name. None for a policy without a canary, which was exported without a check, and for engines
    that are built for other machines than this one.
    """
    if config.canary is None or engine != "tensorrt":
        return None
    toolkit = load_toolkit(engine)
    runners = {name: PlanRunner(plan, toolkit) for name, plan in plans.items()}
    return compare_engines(repository, config, runners, _device_of(toolkit), engine)


def compare_engines(
    repository: Path, config: PolicyConfig, runners: Mapping[str, Runner], device: ServingDevice, engine: Engine
) -> DeviceParityConfig:
    """`runners` take the place of the models that they are named after; the rest is the policy's ONNX."""
    exact = PolicyRunner.of(repository, config)
    mixed = [runners.get(name) or PolicyRunner([model_file(repository, name)]) for name in config.models[1:]]
    parity = Parity(gate_of(config.precision), AGAINST)
    for name, inputs in _observations(repository / config.policy_id, config):
        known = dict(inputs)
        for runner in mixed:
            known |= runner.run(known)
        parity.compare(name, known["actions_normalized"], exact.run(inputs)["actions_normalized"])
    if parity.verdict != "passed":
        raise _missed(config, parity, device)
    return device_parity(parity, device, config, datetime.now(UTC), engine)


def _device_of(toolkit: Toolkit) -> ServingDevice:
    gpu = first_gpu()
    if gpu is None:
        raise DeviceError("no GPU is left to measure the engines on; see what `nvidia-smi -L` lists, then build again")
    major, minor = gpu.compute_capability
    return ServingDevice(
        gpu.name,
        compute_capability=f"{major}.{minor}",
        driver=driver_version(),
        runtime={toolkit.engine: toolkit.version},
    )


def _observations(folder: Path, config: PolicyConfig) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """The canary's, with its own noise and with others."""
    path = folder / (config.canary.file if config.canary else "")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            inputs = {tensor.name: arrays[tensor.name][None] for tensor in config.inputs}
    except (OSError, KeyError, ValueError, TypeError) as exc:
        raise RepositoryError(f"{path} is no canary of {config.policy_id} ({exc}); export the policy again") from exc
    yield "canary", inputs
    for seed in range(1, NOISES):
        random = np.random.RandomState(seed)
        drawn = {name: random.standard_normal(array.shape).astype(np.float32)
                 for name, array in inputs.items() if name in ("noise", "step_noise")}  # fmt: skip
        yield f"canary, noise {seed}", {**inputs, **drawn}


def _missed(config: PolicyConfig, parity: Parity, device: ServingDevice) -> ParityError:
    gate = f"{parity.gate.max_abs:.1e} (the gate)"
    return ParityError(
        f"the engines of {config.policy_id} differ from {parity.against} by {parity.max_abs:.2e} (cosine "
        f"{parity.cosine:.7f}) on {device.name} in {parity.worst}; the gate is {parity.gate.max_abs:.0e} and "
        f"{parity.gate.cosine}. Nothing was published; build with another version of TensorRT, serve the ONNX, or "
        "export the policy again with --precision fp32",
        f"its engines {parity.max_abs:.1e} from {parity.against} on {device.name}, at most {gate} is trusted",
    )
