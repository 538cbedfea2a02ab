from __future__ import annotations

import json
import time
from typing import Any

from reflex.client.embodiment import embodiment_of
from reflex.embodiments import load_embodiment
from reflex.policy_config import PolicyConfig
from reflex.wire import EMBODIMENT_FIELD, PRECISION_PROOF_FIELD
from reflex_frontend.http.config import configs_of
from support.checkpoints.measured import measured_on
from support.fakes import FakeTriton, act_service, policy_config

ONE = policy_config(cameras={"base": False})


def shown(second: FakeTriton | None = None) -> Any:
    return json.loads(configs_of(act_service(FakeTriton(), time.monotonic, config=ONE, second=second).router))


def without_embodiment(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != EMBODIMENT_FIELD}


def test_config_is_the_policys_own_file_with_all_of_its_embodiment() -> None:
    config = shown()

    assert embodiment_of(config) == load_embodiment("franka")
    assert ONE.model_validate_json(json.dumps(without_embodiment(config))) == ONE


def test_two_policies_are_told_by_their_slots_each_with_its_embodiment() -> None:
    config = shown(FakeTriton())

    assert [config[slot]["policy_id"] for slot in ("a", "b")] == ["small", "other"]
    assert {config[slot][EMBODIMENT_FIELD]["control_hz"] for slot in ("a", "b")} == {20}


def test_a_policy_in_fp32_says_nothing_of_its_precision_and_one_in_fp16_how_it_is_known() -> None:
    half = policy_config(precision="fp16", parity={"verdict": "passed", "max_abs": 3e-3, "gate_max_abs": 5e-3})
    measured = half.model_copy(update={"device_parity": (measured_on("NVIDIA H200"),)})

    def proof(config: PolicyConfig, serving: str | None) -> Any:
        router = act_service(FakeTriton(), time.monotonic, config=config).router
        return json.loads(configs_of(router, serving)).get(PRECISION_PROOF_FIELD)

    assert proof(ONE, "cpu") is None
    assert proof(half, "cpu") == {"by": "simulation", "verdict": "passed", "max_abs": 3e-3, "gate_max_abs": 5e-3}
    assert proof(measured, "NVIDIA H200")["is_serving_device"] is True
    assert proof(measured, "NVIDIA L4")["is_serving_device"] is False
    assert "is_serving_device" not in proof(measured, None)
