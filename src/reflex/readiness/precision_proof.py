"""How it is known that a policy's arithmetic is near enough to its checkpoint's: told by server, export and inspection.

FP32 that runs from ONNX is what was compared, so nothing is said of it until it misses its gate on a device. FP16 is
simulated on a CPU, and an engine makes other kernels of the same graph: both are known only where they were measured on
the device that serves. A CPU that serves the ONNX runs what was simulated, so there the simulation is the measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from reflex.device_parity import DeviceParityConfig
from reflex.policy_config import PolicyConfig
from reflex.wire import PrecisionProof

__all__ = ["CPU", "precision_proof", "proof_in_words", "proof_remedy"]

CPU: Final = "cpu"
"""The serving device that is no GPU."""


def precision_proof(config: PolicyConfig, serving: str | None = None) -> PrecisionProof | None:
    """None where there is nothing to say. `serving` is the device's name, None where nobody knows it."""
    if _is_what_was_compared(config):
        return None
    measured, simulated = _measured(config, serving), _simulated(config)
    is_simulated_here = serving == CPU and config.engine == "onnx" and simulated["by"] == "simulation"
    if is_simulated_here and config.precision != "fp32":
        return {**simulated, "is_serving_device": True}
    if measured is None:
        return simulated
    proof: PrecisionProof = {
        "by": "measurement",
        "verdict": measured.verdict,
        "max_abs": measured.max_abs,
        "gate_max_abs": measured.gate_max_abs,
        "device": measured.device,
        "measured_at": measured.measured_at,
    }
    return proof if serving is None else {**proof, "is_serving_device": measured.device == serving}


def proof_in_words(proof: PrecisionProof) -> str:
    """A few words; the figures where there are any."""
    match proof["by"]:
        case "nothing":
            return "its precision compared with nothing"
        case "simulation" if proof.get("is_serving_device"):
            return f"FP16 compared on a CPU, which serves: {_figures(proof)}"
        case "simulation":
            return f"FP16 only simulated on a CPU: {_how_near(proof)}"
        case _:
            where = {True: ", which serves", False: ", which does not serve here", None: ""}
            verb = "measured" if proof["verdict"] == "passed" else "missed its gate"
            return f"{verb} on {proof['device']}{where[proof.get('is_serving_device')]}: {_how_near(proof)}"


def proof_remedy(config: PolicyConfig, proof: PrecisionProof) -> str | None:
    """What to do about it; None where nothing is to be done."""
    command = f"`reflex verify REPOSITORY --policy {config.policy_id} --device cuda`"
    if proof["by"] == "measurement" and proof["verdict"] != "passed":
        exact = "" if config.precision == "fp32" else "export it again with --precision fp32, or "
        return f"{exact}serve it on another device"
    if config.engine != "onnx":
        return None if proof["by"] == "measurement" else "build its engines where they serve: `reflex engines build`"
    is_here = proof.get("is_serving_device")
    if is_here or (proof["by"] == "measurement" and is_here is None):
        return None
    return f"{command} measures it on the GPU that serves"


def _is_what_was_compared(config: PolicyConfig) -> bool:
    return config.precision == "fp32" and config.engine == "onnx" and not any(map(_has_failed, _of_what_runs(config)))


def _of_what_runs(config: PolicyConfig) -> list[DeviceParityConfig]:
    return [one for one in config.device_parity if one.engine == config.engine]


def _has_failed(measured: DeviceParityConfig) -> bool:
    return measured.verdict != "passed"


def _measured(config: PolicyConfig, serving: str | None) -> DeviceParityConfig | None:
    """Of the serving device where it was measured there, else of any: one that failed, or the newest."""
    several = _of_what_runs(config)
    here = [one for one in several if one.device == serving]
    return max(here or several, key=lambda one: (_has_failed(one), one.measured_at), default=None)


def _simulated(config: PolicyConfig) -> PrecisionProof:
    record: Mapping[str, float | str] = config.parity or {}
    if "max_abs" not in record:
        return {"by": "nothing", "verdict": "not checked"}
    proof = cast(
        "PrecisionProof",
        {
            "by": "simulation",
            "verdict": record["verdict"],
            "max_abs": record["max_abs"],
            "gate_max_abs": record["gate_max_abs"],
        },
    )
    if "margin" in record:
        proof["margin"] = "kept" if record["margin"] == "kept" else "used up"
    return proof


def _how_near(proof: PrecisionProof) -> str:
    used_up = ", without the margin that a GPU may need" if proof.get("margin") == "used up" else ""
    return _figures(proof) + used_up


def _figures(proof: PrecisionProof) -> str:
    return f"{float(proof['max_abs']):.1e} of {proof['gate_max_abs']:.0e}"
