from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
import pytest

from reflex_export.blocks.vision import count_layers
from reflex_export.checkpoint import Family, TensorSource
from reflex_export.configs import parse_config
from reflex_export.errors import CheckpointError, MissingTensorError, TensorShapeError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.layout import live_tensors
from reflex_export.reading.tensors import open_weights
from support.checkpoints.golden import golden_folder
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.random_tensors import tensor_shapes
from support.checkpoints.sizes import PiSizes, SmolVlaSizes
from unit.reflex_export.reading.damage import CopyCheckpoint, EmptyHub, edit_json, edit_tensors

WEIGHTS = "model.safetensors"
GOLDEN: dict[str, Any] = {
    "width": 64,
    "mlp": 128,
    "state_dim": 6,
    "action_dim": 6,
    "max_state_dim": 32,
    "max_action_dim": 32,
}
GOLDEN_SMOLVLA = SmolVlaSizes(
    **GOLDEN,
    layers=4,
    head_dim=16,
    vocabulary=384,
    expert_mlp=256,
    expert_multiplier=0.75,
    vision_width=48,
    vision_mlp=96,
    patch=16,
    image_size=64,
)
GOLDEN_PI: dict[str, Any] = {
    **GOLDEN,
    "heads": 8,
    "head_dim": 16,
    "vocabulary": 384,
    "expert_width": 32,
    "expert_mlp": 64,
    "vision_width": 64,
    "vision_mlp": 96,
    "patch": 14,
    "image_size": 56,
}
DEAD = ("lm_head.weight", "language_model.norm.weight", "text_model.norm.weight")

VARIED: dict[str, SmolVlaSizes | PiSizes] = {
    "smolvla": SmolVlaSizes(),
    "smolvla_groups": SmolVlaSizes(heads=6, kv_heads=3, head_dim=10, width=64, layers=4, self_attn_every=3),
    "smolvla_few_experts": SmolVlaSizes(layers=6, num_expert_layers=2, storage="mixed", shards=3, empty_cameras=2),
    "smolvla_all_cross": SmolVlaSizes(self_attn_every=0, storage="bfloat16", scale_factor=4, patch=4),
    "smolvla_wide": SmolVlaSizes(expert_multiplier=1.25, vlm_layers=6, storage="float16", max_state_dim=5),
    "pi0": PiSizes(),
    "pi0_base": PiSizes(prefix="", storage="mixed", shards=2, empty_cameras=1),
    "pi05": PiSizes(family="pi05", layers=5, heads=2, head_dim=20, vision_width=48, cameras={"one": (20, 30)}),
    "pi05_base": PiSizes(family="pi05", prefix="", storage="bfloat16", normalization={"STATE": "MEAN_STD"}),
}


@pytest.mark.parametrize("name", VARIED)
def test_checkpoints_of_every_size_are_read(tmp_path: Path, hub: EmptyHub, name: str) -> None:
    sizes = VARIED[name]
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / name, sizes), hub=hub)
    expected = dict(tensor_shapes(sizes))
    assert {tensor: checkpoint.tensors.shape(tensor) for tensor in checkpoint.tensors.names()} == expected
    assert [camera.is_empty for camera in checkpoint.cameras].count(True) == sizes.empty_cameras
    assert (checkpoint.state_dim, checkpoint.action_dim) == (sizes.state_dim, sizes.action_dim)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("smolvla", GOLDEN_SMOLVLA),
        ("pi0", PiSizes(**GOLDEN_PI)),
        ("pi05", PiSizes(family="pi05", **GOLDEN_PI)),
        ("variants/pi0_basekeys", PiSizes(prefix="", **GOLDEN_PI)),
        ("variants/pi05_basekeys", PiSizes(family="pi05", prefix="", **GOLDEN_PI)),
    ],
)
def test_the_random_checkpoints_have_the_layout_of_the_recorded_ones(name: str, sizes: SmolVlaSizes | PiSizes) -> None:
    recorded = open_weights(golden_folder(name))
    assert dict(tensor_shapes(sizes)) == {tensor: recorded.shape(tensor) for tensor in recorded.names()}


@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05"])
def test_all_that_is_not_live_in_a_full_size_checkpoint_is_known_to_be_dead(name: Family) -> None:
    full = json.loads((golden_folder("keys") / f"{name}_full.json").read_text())
    config = parse_config(name, full.get("config_json") or full["config_json_defaults"])
    names = frozenset(full["tensors"])
    live = {tensor for tensor, _ in live_tensors(name, config, frozenset(n.removeprefix("model.") for n in names))}
    dead = {tensor.removeprefix("model.") for tensor in names} - live
    last = f"layers.{15 if name == 'smolvla' else 17}."
    for tensor in dead:
        in_last_prefix_layer = last in tensor and "expert." not in tensor.replace("with_expert.", "")
        is_embedding = "embed_tokens" in tensor
        assert tensor.endswith(DEAD) or in_last_prefix_layer or is_embedding, tensor
    assert live <= {tensor.removeprefix("model.") for tensor in names}


def test_mixed_storage_keeps_its_types(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", SmolVlaSizes(storage="mixed"))
    tensors = read_checkpoint(folder).tensors
    layer = "model.vlm_with_expert.lm_expert.layers.{}.self_attn.k_proj.weight"
    assert tensors.load("model.state_proj.weight").dtype == np.float32
    assert tensors.load(layer.format(1)).dtype == np.float32
    assert tensors.load(layer.format(0)).dtype == ml_dtypes.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05"])
def test_every_live_tensor_is_missed(copy: CopyCheckpoint, name: Family) -> None:
    folder = copy(name)
    config = parse_config(name, json.loads((folder / "config.json").read_text()))
    names = open_weights(folder).names()
    live = [f"model.{tensor}" for tensor, _ in live_tensors(name, config, names)]
    assert len(live) > 90
    for tensor in live[:: len(live) // 12]:
        original = (folder / WEIGHTS).read_bytes()
        edit_tensors(folder / WEIGHTS, lambda tensors, gone=tensor: tensors.pop(gone))  # type: ignore[misc]
        with pytest.raises(MissingTensorError, match=tensor.removeprefix("model.").replace(".", r"\.")):
            read_checkpoint(folder)
        (folder / WEIGHTS).write_bytes(original)


@pytest.mark.parametrize(
    ("name", "tensor", "shape"),
    [
        ("smolvla", "state_proj.weight", (64, 31)),
        ("smolvla", "action_out_proj.weight", (33, 48)),
        ("smolvla", "vlm_with_expert.lm_expert.layers.1.self_attn.k_proj.weight", (32, 48)),
        ("smolvla", "vlm_with_expert.vlm.model.connector.modality_projection.proj.weight", (64, 48)),
        ("smolvla", "vlm_with_expert.vlm.model.text_model.layers.2.mlp.up_proj.weight", (64, 128)),
        ("pi0", "action_time_mlp_in.weight", (32, 32)),
        ("pi0", "paligemma_with_expert.paligemma.model.multi_modal_projector.linear.bias", (1, 64)),
        ("pi05", "paligemma_with_expert.gemma_expert.model.layers.0.input_layernorm.dense.weight", (64, 32)),
        ("pi05", "paligemma_with_expert.gemma_expert.model.norm.dense.bias", (97,)),
    ],
)
def test_a_tensor_of_the_wrong_shape_is_named(
    copy: CopyCheckpoint, name: str, tensor: str, shape: tuple[int, ...]
) -> None:
    folder = copy(name)
    wrong = np.zeros(shape, np.float32)
    edit_tensors(folder / WEIGHTS, lambda tensors: tensors.update({f"model.{tensor}": wrong}))
    with pytest.raises(TensorShapeError, match=f"{tensor} has the shape"):
        read_checkpoint(folder)


@pytest.mark.parametrize("number", ["999999999", "²", "-1"])
def test_a_number_that_no_layer_has_counts_none(number: str) -> None:
    """A few bytes of a file would make a graph of as many layers."""

    class Names:
        def names(self) -> frozenset[str]:
            return frozenset({"m.layers.0.x", "m.layers.1.x", f"m.layers.{number}.x"})

    assert count_layers(cast("TensorSource", Names()), "m.layers") == 2


def test_a_side_of_no_length_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    name = next(name for name in open_weights(folder).names() if name.endswith("patch_embedding.weight"))

    def emptied(tensors: dict[str, Any]) -> None:
        tensors[name] = np.zeros((*tensors[name].shape[:2], 0, 0), np.float32)

    edit_tensors(folder / WEIGHTS, emptied)
    with pytest.raises(TensorShapeError, match=r"patch_embedding\.weight has the shape .*no weights"):
        read_checkpoint(folder)


def test_a_vlm_config_of_another_size_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    edit_json(folder / "vlm/config.json", lambda config: config["text_config"].update(num_attention_heads=6))
    with pytest.raises(TensorShapeError, match="the config asks for 96 where it has 64"):
        read_checkpoint(folder)


def test_time_weights_under_either_name_are_read(copy: CopyCheckpoint) -> None:
    folder = copy("pi05")

    def rename(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if name.startswith("model.time_mlp_")]:
            tensors[name.replace("time_mlp", "action_time_mlp")] = tensors.pop(name)

    edit_tensors(folder / WEIGHTS, rename)
    assert read_checkpoint(folder).family == "pi05"


def test_a_checkpoint_without_an_embedding_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    name = "model.vlm_with_expert.vlm.model.text_model.embed_tokens.weight"
    edit_tensors(folder / WEIGHTS, lambda tensors: tensors.pop(name))
    with pytest.raises(MissingTensorError, match="the text embedding"):
        read_checkpoint(folder)


def test_an_expert_of_another_depth_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")

    def cut(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if "gemma_expert.model.layers.2." in name]:
            del tensors[name]

    edit_tensors(folder / WEIGHTS, cut)
    with pytest.raises(CheckpointError, match="the expert has 2 layers, the VLM 3"):
        read_checkpoint(folder)
