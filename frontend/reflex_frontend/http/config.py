"""What /config says: the policy's own file, and all of the embodiment that its file only names."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import orjson

from reflex.readiness.precision_proof import precision_proof
from reflex.wire import EMBODIMENT_FIELD, PRECISION_PROOF_FIELD
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.exchange.routing import Router
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["config_of", "config_schema", "configs_of"]

ELSEWHERE: Final = DeviceInUse.elsewhere()


def configs_of(router: Router, device: DeviceInUse = ELSEWHERE) -> bytes:
    """The one policy's, or those of both by slot."""
    configs = {name: config_of(slot.loaded.policy, device) for name, slot in router.slots.items()}
    return orjson.dumps(configs if router.has_two else configs["a"])


def config_of(policy: ServedPolicy, device: DeviceInUse = ELSEWHERE) -> dict[str, Any]:
    """One policy's, ready to be written as JSON; its mode is the one in which it runs here."""
    config = policy.config.model_dump(mode="json") | {"inference_mode": device.mode(policy.config)}
    proof = precision_proof(policy.config, device.serving(policy.config))
    told = {} if proof is None else {PRECISION_PROOF_FIELD: proof}
    return config | {EMBODIMENT_FIELD: dataclasses.asdict(policy.embodiment)} | told


def config_schema() -> dict[str, Any]:
    """As the OpenAPI document tells it: the one field that is in no file and of no other place."""
    number = {"type": "number"}
    proof: dict[str, Any] = {
        "by": {"enum": ["nothing", "simulation", "measurement"]},
        "verdict": {"enum": ["passed", "failed", "not checked"]},
        "max_abs": {"oneOf": [number, {"enum": ["nan", "inf"]}], "description": "of a normalised chunk"},
        "gate_max_abs": {**number, "description": "what it had to reach"},
        "margin": {"enum": ["kept", "used up"], "description": "of a simulation"},
        "device": {"type": "string", "description": "where it was measured"},
        "provider": {"enum": ["cuda"], "description": "of ONNX Runtime, by which it was measured"},
        "form": {"type": "string", "description": "the file of the denoise graph that was measured"},
        "measured_at": {"type": "string", "format": "date-time"},
        "is_serving_device": {"type": "boolean", "description": "absent where the server does not know what serves"},
    }
    what = "how the precision of FP16, or of an engine, is known; of FP32 only where a device missed its gate"
    described = {"type": "object", "properties": proof, "required": ["by", "verdict"], "description": what}
    return {"type": "object", "properties": {PRECISION_PROOF_FIELD: described}}
