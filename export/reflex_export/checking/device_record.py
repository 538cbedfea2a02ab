"""A measurement on a device that serves, and its place in the policy's record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from reflex.device_parity import DeviceParityConfig, with_newest
from reflex.errors import RepositoryError
from reflex.policy_config import PolicyConfig
from reflex_export.checking.parity import Parity, told_number
from reflex_export.checking.serving_device import ServingDevice
from reflex_export.engines.toolkit import Engine
from reflex_export.publishing.rewriting import rewrite_policy

__all__ = ["device_parity", "record_measurement", "with_measurement"]


def device_parity(
    parity: Parity,
    device: ServingDevice,
    config: PolicyConfig,
    at: datetime,
    engine: Engine | None = None,
    form: str | None = None,
) -> DeviceParityConfig:
    """What the record keeps of a comparison that had a case; `engine` None: the ONNX ran, its denoise from `form`."""
    return DeviceParityConfig(
        export_id=config.export_id,
        engine=engine or "onnx",
        provider="cuda" if engine is None else None,
        form=form,
        device=device.name,
        compute_capability=device.compute_capability,
        driver=device.driver,
        runtime=dict(device.runtime),
        measured_at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        verdict="passed" if parity.verdict == "passed" else "failed",
        against=parity.against,
        cosine=told_number(parity.cosine),
        max_abs=told_number(parity.max_abs),
        worst=parity.worst,
        gate_cosine=parity.gate.cosine,
        gate_max_abs=parity.gate.max_abs,
        cases={name: told_number(value) for name, value in parity.each.items()},
    )


def with_measurement(config: PolicyConfig, measured: DeviceParityConfig) -> PolicyConfig:
    """The same record with it, in place of what was measured of the same on that device against the same before."""
    return config.model_copy(update={"device_parity": with_newest(config.device_parity, measured)})


def record_measurement(
    repository: Path, policy: str, measured: DeviceParityConfig, on_wait: Callable[[str], object] | None = None
) -> None:
    """Write it into the repository; `RepositoryError` where another export has taken the policy's place meanwhile."""

    def changed(config: PolicyConfig) -> PolicyConfig:
        if config.export_id != measured.export_id:
            raise RepositoryError(
                f"{policy} was exported again while it was measured, so nothing was written; verify it again"
            )
        return with_measurement(config, measured)

    rewrite_policy(repository, policy, changed, "a measurement", on_wait)
