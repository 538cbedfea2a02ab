from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex.policy_config import read_policy_config
from reflex_bench.nonce_policy import set_behaviour, write_nonce_policy
from reflex_export.checking.parity import PolicyRunner
from reflex_export.graph.graph import Array


def nonce_request(nonces: list[float], red: int, *, camera: bool = True) -> dict[str, Array]:
    count = len(nonces)
    image = np.zeros((count, 20, 30, 3), np.uint8)
    image[:, 0, 0, 0] = red
    return {
        "image.image": image,
        "camera_mask": np.full((count, 1), camera),
        "state": np.stack([np.array([nonce, -nonce, 9, 9, 9, 9], np.float32) for nonce in nonces]),
        "tokens": np.zeros((count, 48), np.int64),
        "token_mask": np.zeros((count, 48), np.bool_),
        "noise": np.full((count, 50, 7), np.nan, np.float32),
    }


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> PolicyRunner:
    repository = tmp_path_factory.mktemp("nonce")
    write_nonce_policy(repository)
    return PolicyRunner.of(repository, read_policy_config(repository / "nonce"))


def denoise_config(repository: Path, name: str) -> model_config_pb2.ModelConfig:
    text = (repository / f"{name}_denoise" / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_answer_folds_each_requests_own_nonce_exactly(runner: PolicyRunner) -> None:
    nonces = [0.1, 12345.678, struct.unpack("f", struct.pack("f", 1e-30))[0]]

    actions = runner.run(nonce_request(nonces, red=51))["actions"]

    assert actions.shape == (3, 50, 7)
    for row, nonce in zip(actions, nonces, strict=True):
        np.testing.assert_array_equal(row[:, 0], np.float32(nonce))
        np.testing.assert_array_equal(row[:, 1], -np.float32(nonce))
        np.testing.assert_array_equal(row[:, 2], np.float32(51) / np.float32(255))
        np.testing.assert_array_equal(row[:, 3:], 0)


def test_absent_camera_does_not_reach_the_answer(runner: PolicyRunner) -> None:
    answer = runner.run(nonce_request([1.0], red=255, camera=False))

    assert answer["actions"][0, 0, 2] == 0


def test_canary_of_the_written_policy_is_its_answer(runner: PolicyRunner, tmp_path: Path) -> None:
    write_nonce_policy(tmp_path)
    config = read_policy_config(tmp_path / "nonce")
    assert config.canary is not None
    with np.load(tmp_path / "nonce" / config.canary.file, allow_pickle=False) as canary:
        tensors = {name: canary[name] for name in canary.files}
    expected = tensors.pop("expected.actions")

    answer = runner.run({name: tensor[None] for name, tensor in tensors.items()})

    np.testing.assert_array_equal(answer["actions"][0], expected)
    assert tensors.keys() == {tensor.name for tensor in config.inputs}


def test_healthy_policy_is_onnx_without_a_queue_delay(tmp_path: Path) -> None:
    write_nonce_policy(tmp_path)
    config = denoise_config(tmp_path, "nonce")

    assert config.backend == "onnxruntime"
    assert config.max_batch_size == 8
    assert config.dynamic_batching.max_queue_delay_microseconds == 0


def test_delay_fault_and_control_file_reach_the_python_model(tmp_path: Path) -> None:
    control = tmp_path / "control.json"
    write_nonce_policy(tmp_path / "repository", "faulty", delay_ms=2.5, fault="nan", control_file=control)
    config = denoise_config(tmp_path / "repository", "faulty")

    assert config.backend == "python"
    assert {key: parameter.string_value for key, parameter in config.parameters.items()} == {
        "reflex_export_id": read_policy_config(tmp_path / "repository" / "faulty").export_id,
        "delay_ms": "2.5",
        "fault": "nan",
        "control_file": str(control),
    }
    model = tmp_path / "repository" / "faulty_denoise" / "1" / "model.py"
    compile(model.read_text(encoding="utf-8"), str(model), "exec")


@pytest.mark.parametrize("fault", [None, "nan", "error"])
def test_behaviour_is_switched_in_one_step(tmp_path: Path, fault: str | None) -> None:
    control = tmp_path / "control.json"

    set_behaviour(control, delay_ms=100, fault=fault)  # type: ignore[arg-type]

    assert json.loads(control.read_text(encoding="utf-8")) == {"delay_ms": 100, "fault": fault}
    assert list(tmp_path.iterdir()) == [control]
