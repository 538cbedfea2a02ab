from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from reflex.client.embodiment import embodiment_of
from reflex.embodiments import load_embodiment
from reflex.gpus import Libraries, Machine, Wanted, read_driver
from reflex.policy_config import PolicyConfig
from reflex.wire import EMBODIMENT_FIELD, PRECISION_PROOF_FIELD
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.http.config import configs_of
from support.checkpoints.measured import measured_on
from support.fakes import FakeTriton, act_service, policy_config
from support.gpus.standin import H200, RTX_4090, Card, Standin

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


def test_a_policy_in_fp32_says_nothing_of_its_precision_and_one_in_fp16_how_it_is_known(tmp_path: Path) -> None:
    half = policy_config(precision="fp16", parity={"verdict": "passed", "max_abs": 3e-3, "gate_max_abs": 5e-3})
    measured = half.model_copy(update={"device_parity": (measured_on("NVIDIA H200"),)})

    def proof(config: PolicyConfig, device: DeviceInUse) -> Any:
        router = act_service(FakeTriton(), time.monotonic, config=config).router
        return json.loads(configs_of(router, device)).get(PRECISION_PROOF_FIELD)

    def on(card: Card, way: Wanted = "cuda") -> DeviceInUse:
        driver = read_driver(str(Standin((card,)).write(tmp_path / card.name)), tmp_path / "no version")
        return DeviceInUse(way, Machine(driver, Libraries("1.31.1", "13.0", ("onnxruntime-gpu",), (), "0.5.0", 13)))

    assert proof(ONE, DeviceInUse()) is None
    simulated = {"by": "simulation", "verdict": "passed", "max_abs": 3e-3, "gate_max_abs": 5e-3}
    assert proof(half, DeviceInUse()) == simulated | {"is_serving_device": True}
    assert proof(half, on(H200)) == proof(half, DeviceInUse.elsewhere()) == simulated
    assert proof(measured, on(H200))["is_serving_device"] is True
    assert proof(measured, on(RTX_4090))["is_serving_device"] is False
    on_this = half.model_copy(update={"device_parity": (measured_on(RTX_4090.name, form="model.onnx"),)})
    assert proof(on_this, on(RTX_4090))["is_serving_device"] is True
    assert proof(on_this, on(RTX_4090, "auto"))["is_serving_device"] is False  # TensorRT for RTX takes it
    with_numbers = on(RTX_4090)
    with_numbers.form_of = {"small_denoise": "model.cuda.onnx"}.get
    assert proof(on_this, with_numbers)["is_serving_device"] is False
    assert "is_serving_device" not in proof(measured, DeviceInUse.elsewhere())
