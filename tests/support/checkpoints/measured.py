"""Measurements on devices, as a policy's record keeps them."""

from __future__ import annotations

from typing import Any

from reflex.device_parity import DeviceParityConfig
from support.fakes import policy_config

__all__ = ["measured_on"]


def measured_on(device: str, **fields: Any) -> DeviceParityConfig:
    """One that passed, of the policy that `policy_config` makes; `fields` replace others."""
    made: dict[str, Any] = {
        "export_id": policy_config().export_id, "engine": "onnx", "device": device, "compute_capability": "9.0",
        "driver": "580.95.05", "runtime": {"onnxruntime": "1.31.1", "cuda": "13.0"},
        "measured_at": "2026-11-27T10:00:00Z", "verdict": "passed", "against": "the FP32 graphs", "cosine": 0.9999995,
        "max_abs": 2.4e-3, "worst": "observation 0", "gate_cosine": 0.99999, "gate_max_abs": 5e-3,
        "cases": {"observation 0": 2.4e-3},
    }  # fmt: skip
    return DeviceParityConfig(**(made | fields))
