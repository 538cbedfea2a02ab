"""No trained tensor is left out without a word."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reflex_export.checkpoint import Family
from reflex_export.errors import UnsupportedOptionError
from reflex_export.families.family_graphs import build_graphs
from reflex_export.families.unused import NoticedTensors, require_all_used
from reflex_export.reading.layout import embedding_name, live_tensors
from support.checkpoints.altered import tensors_of, with_options, with_tensors
from support.checkpoints.golden import ArrayTensors, golden_checkpoint, golden_folder

STRANGERS = (
    "model.progress_head.weight",
    "model.encoder.layers.0.self_attn.in_proj.lora_A.weight",
    "model.paligemma_with_expert.paligemma.model.language_model.layers.0.self_attn.q_proj.bias",
    "model.paligemma_with_expert.paligemma.model.language_model.layers.0.mlp.router.weight",
    "model.vlm_with_expert.vlm.model.text_model.layers.1.mlp.router.weight",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["act", "diffusion", "smolvla", "pi0", "pi05"])
def test_a_tensor_that_no_graph_reads_is_named_unless_it_is_known_to_be_trainings(name: Family) -> None:
    checkpoint = golden_checkpoint(name)
    build_graphs(checkpoint, (1,), "fp32")
    for stranger in STRANGERS:
        tensors = {**tensors_of(checkpoint), stranger: np.zeros(3, np.float32)}
        with pytest.raises(UnsupportedOptionError, match=f"the weights have {stranger}, which no graph of a {name}"):
            build_graphs(with_tensors(checkpoint, tensors), (1,), "fp32")


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.bool_, np.int64])
def test_whole_numbers_are_no_weights(kind: type[np.generic]) -> None:
    name, kept = "model.action_head.weight", np.array([1.5], np.float16)
    noticed = NoticedTensors(ArrayTensors({name: np.ones((2, 2), kind), "model.action_head.bias": kept}))
    with pytest.raises(UnsupportedOptionError, match=f"{name} is stored as {np.dtype(kind).name}, and whole numbers"):
        noticed.load(name)
    assert noticed.load("model.action_head.bias") is kept


@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05"])
def test_nothing_of_a_full_size_checkpoint_is_unaccounted_for(name: Family) -> None:
    full = json.loads((golden_folder("keys") / f"{name}_full.json").read_text())["tensors"]
    tensors = {tensor: np.broadcast_to(np.float32(0), entry["shape"]) for tensor, entry in full.items()}
    checkpoint = with_tensors(golden_checkpoint(name), tensors)
    if name == "smolvla":
        checkpoint = with_options(checkpoint, num_vlm_layers=16)
    noticed = NoticedTensors(checkpoint.tensors)
    prefix = "model." if any(tensor.startswith("model.") for tensor in full) else ""
    for tensor, _ in live_tensors(name, checkpoint.config, noticed.names()):
        noticed.shape(prefix + tensor)
    noticed.shape(embedding_name(name, noticed))
    require_all_used(checkpoint, noticed.used)


def test_layers_of_the_vlm_beyond_those_that_are_used_may_lie_there() -> None:
    checkpoint = with_options(golden_checkpoint("smolvla"), num_vlm_layers=2)
    expert = {name for name in checkpoint.tensors.names() if ".lm_expert.layers." in name}
    kept = {n: t for n, t in tensors_of(checkpoint).items() if n not in expert or ".0." in n or ".1." in n}
    build_graphs(with_tensors(checkpoint, kept), (1,), "fp32")
    with pytest.raises(UnsupportedOptionError, match="and 15 more, which no graph"):
        build_graphs(checkpoint, (1,), "fp32")
