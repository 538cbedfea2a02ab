from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex.policy_config import PolicyConfig
from reflex.readiness.servable import EXPORT_ID_PARAMETER
from reflex_bench.nonce_policy import write_nonce_policy
from reflex_export.commands.demo import export_demo
from reflex_export.publishing.staged import identity_of, staging
from reflex_export.publishing.triton_config import Component, ensemble_inputs

DIRECTORIES = ["demo", "demo_denoise", "demo_encoder", "demo_preprocess"]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def triton_config(repository: Path, model: str) -> model_config_pb2.ModelConfig:
    text = (repository / model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.slow
def test_two_exports_are_byte_identical(demo_checkpoint: Path, demo_repository: Path, tmp_path: Path) -> None:
    export_demo(demo_checkpoint, tmp_path)

    assert contents(tmp_path) == contents(demo_repository)


def test_repository_holds_four_directories_and_nothing_else(demo_repository: Path) -> None:
    assert sorted(path.name for path in demo_repository.iterdir()) == DIRECTORIES
    assert (demo_repository / "demo" / "1").is_dir()


@pytest.mark.slow
def test_triton_configs_parse_and_batch_where_it_pays(demo_repository: Path, demo: PolicyConfig) -> None:
    configs = {name: triton_config(demo_repository, name) for name in DIRECTORIES}

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
        assert config.parameters[EXPORT_ID_PARAMETER].string_value == demo.export_id


def test_ensemble_wires_every_tensor_with_agreeing_types(demo_repository: Path, demo: PolicyConfig) -> None:
    ensemble = triton_config(demo_repository, "demo")
    known = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = triton_config(demo_repository, step.model_name)
        for tensor in model.input:
            assert known[step.input_map[tensor.name]] == (tensor.data_type, list(tensor.dims))
        for tensor in model.output:
            known[step.output_map[tensor.name]] = (tensor.data_type, list(tensor.dims))

    assert [step.model_version for step in ensemble.ensemble_scheduling.step] == [1, 1, 1]
    for tensor in ensemble.output:
        assert known[tensor.name] == (tensor.data_type, list(tensor.dims))
    assert [tensor.name for tensor in ensemble.input] == [tensor.name for tensor in demo.inputs]


def test_failed_write_leaves_the_old_policy_as_it_was(tmp_path: Path) -> None:
    write_nonce_policy(tmp_path)
    before = contents(tmp_path)

    with pytest.raises(ValueError, match="null"), staging(tmp_path) as staged:
        staged.write_files("nonce_denoise", Component("denoise", (), (), 1), {"model\0.py": b""})

    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("failing_rename", range(1, 9))
def test_failed_publication_puts_the_old_policy_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_rename: int
) -> None:
    write_nonce_policy(tmp_path)
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
        write_nonce_policy(tmp_path, fault="nan")

    assert contents(tmp_path) == before


def test_rewriting_replaces_every_file_of_the_old_policy(tmp_path: Path) -> None:
    write_nonce_policy(tmp_path, fault="nan")
    (tmp_path / "nonce_denoise" / "1" / "model.plan").write_bytes(b"stale")

    write_nonce_policy(tmp_path)

    assert [path.name for path in (tmp_path / "nonce_denoise" / "1").iterdir()] == ["model.onnx"]


def test_policy_hash_covers_names_and_content_of_a_components_files(tmp_path: Path) -> None:
    component = Component("denoise", (), (), 1, backend="python")
    versions: list[dict[str, bytes]] = [{"a": b"xy"}, {"a": b"xz"}, {"b": b"xy"}, {"a": b"x", "y": b""}, {"a": b"xy"}]
    with staging(tmp_path) as staged:
        models = [staged.write_files(f"model_{index}", component, files) for index, files in enumerate(versions)]
    hashes = [identity_of((model,), {}).policy_hash for model in models]

    assert len(set(hashes)) == 4
    assert hashes[0] == hashes[-1]


def test_export_id_tells_exports_of_the_same_models_apart(tmp_path: Path) -> None:
    with staging(tmp_path) as staged:
        model = staged.write_files("model", Component("denoise", (), (), 1), {"model.py": b""})
    left, right = identity_of((model,), {"name": "left"}), identity_of((model,), {"name": "right"})

    assert left.policy_hash == right.policy_hash
    assert left.export_id != right.export_id


def test_component_that_takes_a_tensor_of_another_shape_is_refused(demo: PolicyConfig) -> None:
    image = demo.inputs[0]
    first = Component("preprocess", (), (image,), 1)
    second = Component("encoder", (image.model_copy(update={"shape": (3, 64, 64)}),), (), 1)

    assert ensemble_inputs((first, replace(second, inputs=(image,)))) == (image,)
    with pytest.raises(ValueError, match=r"encoder takes .*image\.image"):
        ensemble_inputs((first, second))
