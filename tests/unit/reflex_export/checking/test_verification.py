"""`reflex verify` finds a planted fault where it was planted: in what is published, not in what is built again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import numpy_helper

from reflex.errors import RepositoryError
from reflex.export_options import ExportOptions
from reflex.model_repository import CONFIG_FILE, model_file
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.checking.first_difference import FirstDifference, first_difference
from reflex_export.checking.observations import varied_inputs
from reflex_export.checking.verification import Verification, verify_policy
from reflex_export.commands.source_record import read_origin
from reflex_export.commands.verify import verify_command
from reflex_export.errors import CheckpointError, SourceError
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.families.common import Precision
from reflex_export.graph import onnx_model
from support.checkpoints.altered import one_weight_of
from support.checkpoints.golden import golden_checkpoint, golden_folder
from support.checkpoints.sessions import each_graph_loaded_once

STEPS = {"fp32": 4, "fp16": 10}
"""In FP16 the tiny SmolVLA misses its gate with few steps."""
Change = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def export(repository: Path, name: str = "smolvla", precision: Precision = "fp32") -> None:
    source = str(golden_folder(name).resolve())
    options = ExportOptions(
        repository,
        name,
        embodiment="so101",
        precision=precision,
        steps=() if name == "act" else (STEPS[precision],),
        source=source,
        optional_cameras=frozenset({golden_checkpoint(name).cameras[1].name}),
        force=True,
    )
    export_checkpoint(golden_checkpoint(name), options)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with each_graph_loaded_once():
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    export(repository)
    return repository


@pytest.fixture(scope="module")
def exported_fp16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    export(repository, precision="fp16")
    return repository


@pytest.fixture
def repository(exported: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "models"))


@pytest.fixture
def repository_fp16(exported_fp16: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported_fp16, tmp_path / "models"))


def verified(repository: Path, name: str = "smolvla", cases: Path | None = None) -> Verification:
    config = read_policy_config(repository / name)
    return verify_policy(repository, config, read_origin(repository, config), cases)


def located(repository: Path, name: str = "smolvla") -> FirstDifference:
    found = verified(repository, name)
    assert found.parity.verdict == "failed"
    assert found.first_difference is not None
    return found.first_difference


def plant(repository: Path, model: str, is_wanted: Callable[[onnx.TensorProto], bool], change: Change) -> None:
    """Change the first initialiser that is wanted."""
    path = model_file(repository, model)
    graph = onnx.load(path)
    tensor = next(tensor for tensor in graph.graph.initializer if is_wanted(tensor))
    changed = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(changed.astype(numpy_helper.to_array(tensor).dtype), tensor.name))
    onnx.save(graph, path)


def one_weight(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.reshape(-1)[0] += 10.0
    return array


def doubled(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array * 2


def named(*parts: str) -> Callable[[onnx.TensorProto], bool]:
    return lambda tensor: all(part in tensor.name for part in parts)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["exported", "exported_fp16"])
def test_an_export_agrees_with_its_checkpoint_in_every_tensor(precision: str, request: pytest.FixtureRequest) -> None:
    found = verified(request.getfixturevalue(precision))

    assert (found.parity.verdict, found.first_difference, found.note) == ("passed", None, "")
    assert found.parity.cases == 5  # four prompts, and one without the optional camera


@pytest.mark.parametrize(("part", "tensor"), [("k_proj", "prefix_keys"), ("v_proj", "prefix_values")])
def test_one_weight_of_the_encoders_layer_1_is_found_in_layer_1(repository: Path, part: str, tensor: str) -> None:
    plant(repository, "smolvla_encoder", named("text_model.layers.1.", "qkv_proj"), one_weight_of(part))

    difference = located(repository)

    assert (difference.stage, difference.tensor, difference.layer, difference.step) == ("encoder", tensor, 1, None)
    assert difference.max_abs is not None
    assert difference.max_abs > difference.bound


def test_one_weight_of_the_vision_tower_is_found_in_the_first_cameras_embedding(repository: Path) -> None:
    plant(repository, "smolvla_encoder", named("vision_model", "patch_embedding.weight"), one_weight)

    difference = located(repository)

    assert (difference.stage, difference.tensor) == ("encoder", "image_embeds.0")


@pytest.mark.slow
def test_one_weight_of_an_fp16_encoder_is_found_among_its_roundings(repository_fp16: Path) -> None:
    plant(repository_fp16, "smolvla_encoder", named("text_model.layers.1.", "qkv_proj"), one_weight_of("k_proj"))

    difference = located(repository_fp16)

    assert (difference.stage, difference.tensor, difference.layer) == ("encoder", "prefix_keys", 1)


def test_one_weight_of_the_denoising_is_found_in_its_first_step(repository: Path) -> None:
    plant(repository, "smolvla_denoise", named("action_out_proj.weight"), one_weight)

    difference = located(repository)

    assert (difference.stage, difference.tensor, difference.layer, difference.step) == ("denoise", "v_t", None, 0)


def test_a_constant_of_the_preprocess_is_found_in_the_pixels(repository: Path) -> None:
    def scales_pixels(tensor: onnx.TensorProto) -> bool:
        value = numpy_helper.to_array(tensor)
        return value.dtype == np.float32 and np.allclose(value, 2 / 255)

    plant(repository, "smolvla_preprocess", scales_pixels, doubled)

    difference = located(repository)

    assert (difference.stage, difference.tensor) == ("preprocess", "pixels.camera1")


def test_an_operator_that_was_changed_is_found_in_its_component_and_its_step_is_not_guessed(repository: Path) -> None:
    path = model_file(repository, "smolvla_denoise")
    graph = onnx.load(path)
    next(node for node in graph.graph.node if node.op_type == "Sigmoid").op_type = "Tanh"
    onnx.save(graph, path)

    found = verified(repository)

    assert found.first_difference is not None
    assert (found.first_difference.stage, found.first_difference.step) == ("denoise", None)
    assert "do not answer as the published ones do" in found.note


def test_a_model_that_fails_is_named(repository: Path) -> None:
    plant(repository, "smolvla_preprocess", lambda tensor: list(tensor.dims) == [4], doubled)

    with pytest.raises(RepositoryError, match=r"smolvla_preprocess.*fails"):
        verified(repository)


def test_recorded_cases_of_another_answer_say_where_the_policy_is_not_wrong(repository: Path, tmp_path: Path) -> None:
    with np.load(min(golden_folder("smolvla").glob("case_*.npz"))) as recorded:
        case = {name: recorded[name] for name in recorded.files} | {"num_steps": np.array(STEPS["fp32"])}
    np.savez(tmp_path / "case_other.npz", **(case | {"actions_norm": case["actions_norm"] + 1}))

    found = verified(repository, cases=tmp_path)

    assert (found.parity.verdict, found.first_difference) == ("failed", None)
    assert "agrees with the checkpoint's FP32 graphs" in found.note


@pytest.mark.parametrize(
    ("name", "weight", "tensor"),
    [
        pytest.param("pi0", "action_out_proj.weight", "v_t", marks=pytest.mark.slow),
        pytest.param("pi05", "action_out_proj.weight", "v_t", marks=pytest.mark.slow),
        ("act", "action_head.weight", "actions_normalized"),
    ],
)
def test_a_weight_of_another_family_is_found_too(name: str, weight: str, tensor: str, tmp_path: Path) -> None:
    export(tmp_path, name)
    plant(tmp_path, f"{name}_denoise", named(weight), one_weight)

    difference = located(tmp_path, name)

    assert (difference.stage, difference.tensor) == ("denoise", tensor)


def test_weights_in_a_file_of_their_own_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "_EXTERNAL_FROM_BYTES", 0)
    export(tmp_path)
    path = model_file(tmp_path, "smolvla_denoise")
    weights = onnx.load(path, load_external_data=False).graph.initializer
    place = {entry.key: entry.value for entry in next(filter(named("action_out_proj.bias"), weights)).external_data}
    with (path.parent / "model.onnx.data").open("r+b") as data:
        data.seek(int(place["offset"]))
        data.write(np.float32(10).tobytes())

    difference = located(tmp_path)

    assert (difference.stage, difference.tensor, difference.step) == ("denoise", "v_t", 0)


def test_a_tensor_that_is_not_a_number_is_the_first_difference() -> None:
    found = {"pixels.top": np.full((1, 3), np.nan)}

    difference = first_difference(found, {"pixels.top": np.zeros((1, 3))}, "fp32")

    assert difference is not None
    assert difference.max_abs is None
    assert "not a number" in str(difference)


def test_what_stands_at_masked_tokens_is_no_difference() -> None:
    expected = {"prefix_mask": np.array([[True, False]]), "prefix_keys": np.zeros((1, 1, 1, 2, 3))}
    expected["prefix_values"] = expected["prefix_keys"]
    found = {name: array.copy() for name, array in expected.items()}
    found["prefix_keys"][:, :, :, 1] = 9

    assert first_difference(found, expected, "fp32") is None


def test_the_observations_have_prompts_of_every_length_and_miss_each_optional_camera(repository: Path) -> None:
    config, checkpoint = read_policy_config(repository / "smolvla"), golden_checkpoint("smolvla")
    observations = dict(varied_inputs(config, checkpoint))

    lengths = [int(inputs["token_mask"].sum()) for inputs in observations.values()]
    assert checkpoint.text is not None
    assert {1, checkpoint.text.max_tokens} < set(lengths)
    masks = [tuple(inputs["camera_mask"][0].tolist()) for inputs in observations.values()]
    assert (True, False) in masks
    assert len({inputs["state"].tobytes() for inputs in observations.values()}) >= 4


def test_the_command_prints_one_json_value_with_the_place_and_fails(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(repository, "smolvla_encoder", named("text_model.layers.1.", "qkv_proj"), one_weight_of("k_proj"))

    code = verify_command(repository, policy="smolvla", as_json=True)

    printed = json.loads(capsys.readouterr().out)
    assert (code, printed["verdict"]) == (1, "failed")
    assert printed["first_difference"].keys() == {
        "stage", "tensor", "layer", "step", "max_abs", "bound", "observation"
    }  # fmt: skip
    assert printed["first_difference"]["layer"] == 1


def test_the_command_says_in_words_that_all_is_well(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_command(repository) == 0

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "parity passed against the FP32 graphs" in printed.err
    assert "first difference: none" in printed.err


def test_of_several_policies_one_must_be_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "other").mkdir()
    (repository / "other" / "reflex_config.json").write_text("{}")

    with pytest.raises(typer.Exit):
        verify_command(repository)

    assert "choose with --policy one of other, smolvla" in capsys.readouterr().err


def recorded_as(repository: Path, source: str | None) -> PolicyConfig:
    config = read_policy_config(repository / "smolvla").model_copy(update={"source": source})
    (repository / "smolvla" / CONFIG_FILE).write_text(config.model_dump_json())
    return config


def test_a_checkpoint_is_found_beside_the_repository(repository: Path) -> None:
    (repository.parent / "my_checkpoint").symlink_to(golden_folder("smolvla").resolve())

    assert read_origin(repository, recorded_as(repository, "my_checkpoint")).family == "smolvla"


@pytest.mark.parametrize("source", ["gone_checkpoint", None])
def test_a_checkpoint_that_is_gone_is_asked_for(repository: Path, source: str | None) -> None:
    with pytest.raises(SourceError, match="--source"):
        read_origin(repository, recorded_as(repository, source))


def test_a_revision_without_a_source_is_refused(repository: Path) -> None:
    with pytest.raises(SourceError, match="--revision main needs --source"):
        read_origin(repository, read_policy_config(repository / "smolvla"), revision="main")


def test_a_hub_id_is_fetched_at_its_recorded_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def read(source: str, **options: object) -> object:
        asked.append((source, options["revision"]))
        return golden_checkpoint("smolvla")

    monkeypatch.setattr("reflex_export.commands.source_record.read_checkpoint", read)
    read_origin(repository, recorded_as(repository, "owner/arm_policy@0123abc"))

    assert asked == [("owner/arm_policy", "0123abc")]


def test_another_policys_checkpoint_is_refused(repository: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a pi0 with .* smolvla a smolvla with"):
        read_origin(repository, read_policy_config(repository / "smolvla"), str(golden_folder("pi0")))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no graph")])
def test_a_model_that_cannot_be_loaded_is_named(repository: Path, damage: Callable[[Path], object]) -> None:
    damage(model_file(repository, "smolvla_encoder"))

    with pytest.raises(RepositoryError, match=r"smolvla_encoder.*export the policy again"):
        verified(repository)


@pytest.fixture(autouse=True)
def _no_temporary_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []
