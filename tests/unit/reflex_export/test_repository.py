from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex.policy_config import read_policy_config
from reflex_export.demo import build_demo
from reflex_export.repository import PolicyFiles, write_policy
from reflex_export.triton_config import EXPORT_ID_PARAMETER, Component, ensemble_inputs

DIRECTORIES = ["demo", "demo_denoise", "demo_encoder", "demo_preprocess"]
SHIPPED = Path(__file__).parents[3] / "model_repository"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def triton_config(repository: Path, model: str) -> model_config_pb2.ModelConfig:
    text = (repository / model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_two_builds_are_byte_identical(tmp_path: Path) -> None:
    write_policy(tmp_path / "a", build_demo(0))
    write_policy(tmp_path / "b", build_demo(0))

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_repository_holds_four_directories_and_nothing_else(tmp_path: Path, demo: PolicyFiles) -> None:
    write_policy(tmp_path, demo)

    assert sorted(path.name for path in tmp_path.iterdir()) == DIRECTORIES
    assert (tmp_path / "demo" / "1").is_dir()
    assert read_policy_config(tmp_path / "demo") == demo.config


def test_triton_configs_parse_and_batch_where_it_pays(tmp_path: Path, demo: PolicyFiles) -> None:
    write_policy(tmp_path, demo)
    configs = {name: triton_config(tmp_path, name) for name in DIRECTORIES}

    assert {name: config.max_batch_size for name, config in configs.items()} == {
        "demo": 1,
        "demo_preprocess": 4,
        "demo_encoder": 2,
        "demo_denoise": 8,
    }
    assert configs["demo_encoder"].dynamic_batching.max_queue_delay_microseconds == 0
    assert configs["demo_denoise"].dynamic_batching.max_queue_delay_microseconds == 0
    for name, config in configs.items():
        assert config.name == name
        assert config.backend == ("" if name == "demo" else "onnxruntime")
        assert not config.instance_group, "nothing in a repository knows where it runs"
        assert config.dynamic_batching.default_queue_policy.max_queue_size == 0
        assert config.parameters[EXPORT_ID_PARAMETER].string_value == demo.config.export_id


def test_ensemble_wires_every_tensor_with_agreeing_types(tmp_path: Path, demo: PolicyFiles) -> None:
    write_policy(tmp_path, demo)
    ensemble = triton_config(tmp_path, "demo")
    known = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = triton_config(tmp_path, step.model_name)
        for tensor in model.input:
            assert known[step.input_map[tensor.name]] == (tensor.data_type, list(tensor.dims))
        for tensor in model.output:
            known[step.output_map[tensor.name]] = (tensor.data_type, list(tensor.dims))

    assert [step.model_version for step in ensemble.ensemble_scheduling.step] == [1, 1, 1]
    for tensor in ensemble.output:
        assert known[tensor.name] == (tensor.data_type, list(tensor.dims))
    assert [tensor.name for tensor in ensemble.input] == [tensor.name for tensor in demo.config.inputs]


def test_canary_is_answered_by_the_written_models_within_tolerance(tmp_path: Path, demo: PolicyFiles) -> None:
    write_policy(tmp_path, demo)

    assert demo.config.canary is not None
    assert canary_difference(tmp_path) <= demo.config.canary.tolerance / 10


def test_shipped_policy_is_what_this_code_makes(demo: PolicyFiles) -> None:
    shipped = read_policy_config(SHIPPED / "demo")

    assert shipped.policy_hash == demo.config.policy_hash, "run `make demo-policy` and commit the result"
    assert shipped.export_id == demo.config.export_id
    assert shipped.canary is not None
    assert canary_difference(SHIPPED) <= shipped.canary.tolerance / 10
    assert sum(len(data) for name, data in contents(SHIPPED).items() if name.startswith("demo")) < 3_000_000


def canary_difference(repository: Path) -> float:
    with np.load(repository / "demo" / "canary.npz", allow_pickle=False) as canary:
        known = {name: canary[name][None] for name in canary.files}
    for role in ("preprocess", "encoder", "denoise"):
        session = onnxruntime.InferenceSession(repository / f"demo_{role}" / "1" / "model.onnx")
        names = [value.name for value in session.get_outputs()]
        feed = {value.name: known[value.name] for value in session.get_inputs()}
        known.update(zip(names, session.run(names, feed), strict=True))
    return float(np.abs(known["actions"] - known["expected.actions"]).max())


def test_failed_write_leaves_the_old_policy_as_it_was(tmp_path: Path, demo: PolicyFiles) -> None:
    write_policy(tmp_path, demo)
    before = contents(tmp_path)
    unwritable = Component("denoise", (), (), {"model\0.onnx": b""}, 1)

    with pytest.raises(ValueError, match="null"):
        write_policy(tmp_path, replace(demo, components=(*demo.components[:2], unwritable)))

    assert contents(tmp_path) == before


@pytest.mark.parametrize("failing_rename", range(1, 9))
def test_failed_publication_puts_the_old_policy_back(
    tmp_path: Path, demo: PolicyFiles, monkeypatch: pytest.MonkeyPatch, failing_rename: int
) -> None:
    write_policy(tmp_path, demo)
    before = contents(tmp_path)
    rename, calls = Path.rename, 0

    def fail_once(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing_rename:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(OSError, match="No space"):
        write_policy(tmp_path, build_demo(1))

    assert contents(tmp_path) == before


def test_rewriting_replaces_every_file_of_the_old_policy(tmp_path: Path, demo: PolicyFiles) -> None:
    write_policy(tmp_path, build_demo(1))
    (tmp_path / "demo_denoise" / "1" / "model.plan").write_bytes(b"stale")

    write_policy(tmp_path, demo)

    assert not (tmp_path / "demo_denoise" / "1" / "model.plan").exists()
    assert read_policy_config(tmp_path / "demo").policy_hash == demo.config.policy_hash


def test_component_that_takes_a_tensor_of_another_shape_is_refused(demo: PolicyFiles) -> None:
    preprocess, encoder, denoise = demo.components
    wrong = replace(preprocess, outputs=(preprocess.outputs[0].model_copy(update={"shape": (3, 64, 64)}),))

    with pytest.raises(ValueError, match="pixels"):
        ensemble_inputs((wrong, encoder, denoise))
