"""Held against what PEFT's own merge made of the same adapters: see `tests/golden/adapters/record.py`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.export_options import ExportOptions
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checking.recorded import read_case
from reflex_export.checkpoint import Checkpoint, Family
from reflex_export.errors import CheckpointError, MissingTensorError, TensorShapeError, UnsupportedOptionError
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from reflex_export.reading.adapters.weights import merge
from support.checkpoints.adapted import (
    adapter_config,
    adapter_folder,
    arrays_of,
    peft_merged_folder,
    recorded,
    whole_folder,
)
from support.checkpoints.golden import Array, ArrayTensors, golden_folder
from support.checkpoints.random_checkpoint import write_safetensors
from unit.reflex_export.reading.damage import edit_tensors

FAMILIES: tuple[Family, ...] = ("smolvla", "pi0")
TOLERANCE = 1e-6


def actions_of(checkpoint: Checkpoint, repository: Path) -> Array:
    """Exported, and run on a recorded case of one step from the repository."""
    options = ExportOptions(repository, "arm", "so101", steps=(1,), check=False)
    config = export_checkpoint(checkpoint, options).policies[0]
    case = read_case(golden_folder(checkpoint.family) / "case_2.npz", checkpoint, config.inputs)
    return PolicyRunner.of(repository, config).run(case.inputs)["actions_normalized"]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_of_an_adapter_answers_as_one_of_what_peft_merged(family: Family, tmp_path: Path) -> None:
    adapter = read_checkpoint(adapter_folder(tmp_path / "adapter", family))
    merged = read_checkpoint(peft_merged_folder(tmp_path / "merged", family))

    found = actions_of(adapter, tmp_path / "models")
    expected = actions_of(merged, tmp_path / "models_merged")
    untuned = actions_of(read_checkpoint(golden_folder(family)), tmp_path / "models_base")

    assert np.abs(found - expected).max() <= TOLERANCE
    assert np.abs(found - untuned).max() > 100 * TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_is_as_peft_merged_it(family: Family, tmp_path: Path) -> None:
    found = read_checkpoint(adapter_folder(tmp_path / "adapter", family)).tensors
    expected = read_checkpoint(peft_merged_folder(tmp_path / "merged", family)).tensors

    assert found.names() == expected.names()
    for name in sorted(expected.names()):
        np.testing.assert_allclose(found.load(name), expected.load(name), rtol=0, atol=TOLERANCE, err_msg=name)


class WatchedTensors(ArrayTensors):
    """Remembers what was loaded."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        super().__init__(arrays)
        self.loaded: list[str] = []

    def load(self, name: str) -> Array:
        self.loaded.append(name)
        return super().load(name)

    def shape(self, name: str) -> tuple[int, ...]:
        return super().load(name).shape


def test_nothing_is_read_before_it_is_asked_for_and_then_no_other_weight() -> None:
    base = WatchedTensors(arrays_of(recorded("layers", "base")))
    adapter = WatchedTensors(arrays_of(recorded("layers/dora", "adapter_model")))

    merged = merge("act", base, adapter, adapter_config("layers/dora"))
    before = (*base.loaded, *adapter.loaded)
    merged.load("model.linear.weight")

    assert before == ()
    assert base.loaded == ["model.linear.weight"]
    assert len(adapter.loaded) == 3
    assert all("linear.lora_" in name for name in adapter.loaded)


@pytest.mark.parametrize("kind", ["lora", "dora", "flags", "worn"])
def test_every_kind_of_layer_is_as_peft_merged_it(kind: str) -> None:
    """Linear, convolution and embedding layers; biases, magnitudes, layers trained whole; what was never merged."""
    is_worn = kind == "worn"
    base = recorded(f"layers/{kind}", "model") if is_worn else recorded("layers", "base")
    adapter = base if is_worn else recorded(f"layers/{kind}", "adapter_model")
    expected = arrays_of(recorded("layers", "base")) | arrays_of(recorded(f"layers/{kind}", "merged"))

    found = merge("act", base, adapter, adapter_config(f"layers/{kind}"))

    assert found.names() == expected.keys()
    for name, tensor in expected.items():
        assert found.shape(name) == tensor.shape
        np.testing.assert_allclose(found.load(name), tensor, rtol=0, atol=TOLERANCE, err_msg=name)


def test_weights_that_wear_their_adapter_are_merged(tmp_path: Path) -> None:
    folder = worn_folder(tmp_path)

    found = read_checkpoint(folder).tensors
    expected = recorded("smolvla", "merged")

    for name in ("model.state_proj.weight", "model.vlm_with_expert.lm_expert.norm.weight"):
        np.testing.assert_allclose(found.load(name), expected.load(name), rtol=0, atol=TOLERANCE)


def test_weights_that_wear_an_adapter_of_unknown_strength_are_refused(tmp_path: Path) -> None:
    folder = worn_folder(tmp_path)
    with pytest.raises(CheckpointError, match=r"leave --adapter ignore out"):
        read_checkpoint(folder, adapter="ignore")

    (folder / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"put adapter_config.json beside them"):
        read_checkpoint(folder)


def test_a_base_model_that_wears_an_adapter_is_none(tmp_path: Path) -> None:
    worn = worn_folder(tmp_path)
    (worn / "adapter_config.json").unlink()

    with pytest.raises(CheckpointError, match=r"so it is no base model"):
        read_checkpoint(adapter_folder(tmp_path / "adapter", "smolvla"), base=str(worn))


def worn_folder(tmp_path: Path) -> Path:
    """The base model's tensors and the adapter's under the names of a wrapped policy."""
    folder = adapter_folder(tmp_path / "worn", "smolvla")
    (folder / "adapter_model.safetensors").unlink()
    adapter = arrays_of(recorded("smolvla", "adapter_model"))
    base = arrays_of(read_whole(tmp_path / "whole"))
    modules = {name.partition(".lora_")[0] for name in adapter if ".lora_" in name}
    named = {f"base_model.model.{name}": tensor for name, tensor in base.items()}
    for module in modules:
        named[f"{module}.base_layer.weight"] = named.pop(f"{module}.weight")
    write_safetensors(folder / "model.safetensors", named | adapter)
    return folder


def read_whole(folder: Path) -> Any:
    return read_checkpoint(whole_folder(folder, "smolvla")).tensors


def test_the_head_of_an_old_file_is_not_trained_in_place_of_the_embedding() -> None:
    """Where a file has the embedding under the name of the head alone, an adapter may be of either."""
    stem = "paligemma_with_expert.paligemma"
    embedding, head = f"{stem}.model.language_model.embed_tokens", f"{stem}.lm_head"
    base = ArrayTensors({f"{head}.weight": np.ones((7, 4), np.float32)})
    both = adapter_of(f"base_model.model.model.{head}", (2, 4), (7, 2), "lora_A.weight", "lora_B.weight")

    found = merge("pi0", base, both, replace(adapter_config("layers/lora"), targets=None))

    assert (found.load(f"{embedding}.weight") == 1).all()
    assert (found.load(f"{head}.weight") != 1).all()


def adapter_of(module: str, a: tuple[int, ...], b: tuple[int, ...], *names: str) -> ArrayTensors:
    return ArrayTensors({f"{module}.{name}": np.ones(s, np.float32) for name, s in zip(names, (a, b), strict=True)})


def test_an_adapter_of_another_base_model_is_refused_by_name(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter", "smolvla")
    base = whole_folder(tmp_path / "base", "smolvla")

    edit_tensors(base / "model.safetensors", lambda tensors: tensors.pop("model.state_proj.weight"))
    with pytest.raises(MissingTensorError, match=r"changes model.state_proj.weight, which its base model lacks"):
        read_checkpoint(folder, base=str(base))

    shutil.copy(golden_folder("smolvla") / "model.safetensors", base)
    edit_tensors(
        base / "model.safetensors", lambda t: t.update({"model.state_proj.weight": np.ones((8, 8), np.float32)})
    )
    with pytest.raises(TensorShapeError, match=r"do not fit model.state_proj.weight"):
        read_checkpoint(folder, base=str(base))


@pytest.mark.parametrize(("kind", "option"), [("lora", True), ("dora", False)])
def test_a_config_and_tensors_of_two_adapters_are_refused(kind: str, option: bool) -> None:
    config = replace(adapter_config(f"layers/{kind}"), is_dora=option)

    with pytest.raises(
        UnsupportedOptionError, match=rf"use_dora is {str(option).lower()}, but .* lora_magnitude_vector"
    ):
        merge("act", recorded("layers", "base"), recorded(f"layers/{kind}", "adapter_model"), config)


def changed(folder: Path, change: Any, **options: Any) -> Path:
    """An adapter of pi0 whose tensors are changed."""
    adapter_folder(folder, "pi0", **options)
    edit_tensors(folder / "adapter_model.safetensors", change)
    return folder


def without(part: str) -> Any:
    def change(tensors: dict[str, Array]) -> None:
        for name in [name for name in tensors if part in name]:
            del tensors[name]

    return change


@pytest.mark.parametrize("targets", [None, ["k_proj", "v_proj", "state_proj"], r"model\..*\.(k|q)_proj"])
def test_a_layer_that_the_adapter_was_trained_on_and_that_lacks_its_tensors_is_named(
    targets: object, tmp_path: Path
) -> None:
    given = {} if targets is None else {"target_modules": targets}
    folder = changed(tmp_path / "adapter", without("k_proj"), **given)
    with pytest.raises(CheckpointError, match=r"target_modules (names|does not name) .*(k_proj|v_proj|state_proj)"):
        read_checkpoint(folder)


def test_layers_that_the_config_leaves_out_need_no_tensors(tmp_path: Path) -> None:
    folder = changed(tmp_path / "adapter", without("layers.0.self_attn.k_proj"), layers_to_transform=[1])
    assert read_checkpoint(folder).adapter is not None


def test_a_module_that_was_trained_whole_and_is_not_there_is_named(tmp_path: Path) -> None:
    folder = changed(tmp_path / "adapter", lambda _: None, modules_to_save=["action_in_proj", "of_no_policy"])
    with pytest.raises(CheckpointError, match="modules_to_save names action_in_proj, for which there are no tensors"):
        read_checkpoint(folder)


def test_an_adapter_that_changes_nothing_is_told(tmp_path: Path) -> None:
    def untrained(tensors: dict[str, Array]) -> None:
        tensors.update({name: np.zeros_like(tensor) for name, tensor in tensors.items() if "lora_B" in name})
        for name in [name for name in tensors if "lora_" not in name]:
            del tensors[name]

    told = read_checkpoint(changed(tmp_path / "adapter", untrained)).warnings
    assert any(sentence.startswith("the adapter changes nothing") for sentence in told)
    trained = read_checkpoint(adapter_folder(tmp_path / "trained", "pi0")).warnings
    assert not any("changes nothing" in sentence for sentence in trained)


def test_an_adapter_in_whole_numbers_is_refused(tmp_path: Path) -> None:
    def rounded(tensors: dict[str, Array]) -> None:
        tensors.update({name: tensor.astype(np.int8) for name, tensor in tensors.items() if "lora_A" in name})

    folder = changed(tmp_path / "adapter", rounded)
    with pytest.raises(UnsupportedOptionError, match=r"lora_A.* is stored as int8"):
        read_checkpoint(folder)
