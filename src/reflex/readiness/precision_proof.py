"""How it is known that a policy's arithmetic is near enough to its checkpoint's: told by server, export and inspection.

FP32 that runs from ONNX is what was compared, so nothing is said of it until it misses its gate on a device. FP16 is
simulated on a CPU, and an engine makes other kernels of the same graph: both are known only where they were measured on
the device that serves. A CPU that serves the ONNX runs what was simulated, so there the simulation is the measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, cast

from reflex.device_parity import DeviceParityConfig
from reflex.gpus import Serving
from reflex.model_repository import CUDA_MODEL_FILE, MODEL_FILE
from reflex.policy_config import PolicyConfig
from reflex.wire import PrecisionProof

__all__ = ["CPU", "precision_proof", "proof_in_words", "proof_remedy"]

CPU: Final = "cpu"
"""The serving device that is no GPU."""


def precision_proof(config: PolicyConfig, serving: Serving | None = None) -> PrecisionProof | None:
    """None where there is nothing to say. `serving` is None where nobody knows what serves."""
    if _is_what_was_compared(config, serving):
        return None
    measured, simulated = _measured(config, serving), _simulated(config)
    is_on_cpu = serving is not None and serving.way == CPU
    is_simulated_here = is_on_cpu and config.engine == "onnx" and simulated["by"] == "simulation"
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
    if measured.provider is not None:
        proof["provider"] = measured.provider
    if measured.form is not None:
        proof["form"] = measured.form
    return proof if serving is None else {**proof, "is_serving_device": _is_of(measured, serving)}


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
            is_here = proof.get("is_serving_device")
            by = _by_which_way(proof) if is_here is False else ""
            return f"{verb} on {proof['device']}{by}{where[is_here]}: {_how_near(proof)}"


def proof_remedy(config: PolicyConfig, proof: PrecisionProof, serving: Serving | None = None) -> str | None:
    """What to do about it; None where nothing is to be done. `serving` as for `precision_proof`."""
    is_measured, is_here = proof["by"] == "measurement", proof.get("is_serving_device")
    has_missed = is_measured and proof["verdict"] != "passed"
    if has_missed and is_here is not False:
        return _where_it_missed(config, proof)
    if config.engine != "onnx":
        is_known = is_measured and not has_missed
        return None if is_known else "build its engines where they serve: `reflex engines build`"
    if is_here or (is_measured and is_here is None):
        return None
    return _what_measures(config, proof, serving)


def _where_it_missed(config: PolicyConfig, proof: PrecisionProof) -> str:
    exact = "" if config.precision == "fp32" else "export it again with --precision fp32, or "
    has_masks = proof.get("form") != CUDA_MODEL_FILE or proof.get("is_serving_device") is False
    masks = "" if has_masks else f", or from {MODEL_FILE} by REFLEX_CUDA_MASKS=1"
    return f"{exact}serve it on another device{masks}"


def _what_measures(config: PolicyConfig, proof: PrecisionProof, serving: Serving | None) -> str:
    """Of ONNX that was not measured as it is served: what another device or way has missed says little of it."""
    command = f"`reflex verify REPOSITORY --policy {config.policy_id}"
    on_gpu = f"{command} --device cuda`"
    way = None if serving is None else serving.way
    if way == CPU:
        return f"{command}` says how far it is off on the CPU that serves"
    if serving is not None and way == "trt-rtx":
        if proof["verdict"] == "failed" and proof.get("device") == serving.device:
            return _where_it_missed(config, proof)
        if proof.get("device") == serving.device:
            return "serve it with --device cuda, which was measured on this card; TensorRT for RTX computes otherwise"
        return f"serve it with --device cuda: {on_gpu} measures that, and not what TensorRT for RTX computes"
    is_other_form = serving is not None and serving.form == MODEL_FILE and proof.get("form") == CUDA_MODEL_FILE
    as_served = on_gpu.replace("`", "`REFLEX_CUDA_MASKS=1 ", 1) if is_other_form else on_gpu
    return f"{as_served} measures it on the GPU that serves"


def _is_what_was_compared(config: PolicyConfig, serving: Serving | None) -> bool:
    """What a card has passed itself needs no word about another's miss, nor does a CPU that its own comparison has."""
    if config.precision != "fp32" or config.engine != "onnx":
        return False
    if serving is not None and serving.way == CPU and (config.parity or {}).get("verdict") == "passed":
        return True
    several = _of_what_runs(config)
    here = [one for one in several if serving is not None and one.device == serving.device]
    return not any(map(_has_failed, here or several))


def _of_what_runs(config: PolicyConfig) -> list[DeviceParityConfig]:
    return [one for one in config.device_parity if one.engine == config.engine]


def _has_failed(measured: DeviceParityConfig) -> bool:
    return measured.verdict != "passed"


def _measured(config: PolicyConfig, serving: Serving | None) -> DeviceParityConfig | None:
    """Of what serves where that was measured, else of any: the worst, by whatever it was held against."""
    several = _of_what_runs(config)
    here = [one for one in several if serving is not None and _is_of(one, serving)]
    return max(here or several, key=_badness, default=None)


def _badness(measured: DeviceParityConfig) -> tuple[bool, float, str]:
    figure = float(measured.max_abs)
    return _has_failed(measured), math.inf if math.isnan(figure) else figure, measured.measured_at


def _is_of(measured: DeviceParityConfig, serving: Serving) -> bool:
    """Whether it was measured of what serves. A form that nobody knows is the one that serves."""
    is_same_way = (measured.provider or "cuda") == serving.way
    is_same_form = None in (measured.form, serving.form) or measured.form == serving.form
    return measured.device == serving.device and (measured.engine != "onnx" or (is_same_way and is_same_form))


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


def _by_which_way(proof: PrecisionProof) -> str:
    """Two ways of running on one card are two measurements."""
    told = f" by {proof['provider']}" if "provider" in proof else ""
    return f"{told} from {proof['form']}" if "form" in proof else told


def _how_near(proof: PrecisionProof) -> str:
    used_up = ", without the margin that a GPU may need" if proof.get("margin") == "used up" else ""
    return _figures(proof) + used_up


def _figures(proof: PrecisionProof) -> str:
    return f"{float(proof['max_abs']):.1e} of {proof['gate_max_abs']:.0e}"
