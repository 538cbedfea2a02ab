"""The denoise graph for CUDA, which knows how many keys are valid in place of a mask, against recorded values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from reflex.numerics import max_abs
from reflex_export.families.common import Arithmetic, FamilyGraphs
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import OnnxModel
from support.checkpoints.altered import with_options
from support.checkpoints.full_size import node_counts
from support.checkpoints.golden import (
    golden_case,
    golden_cases,
    golden_checkpoint,
    guidance_feeds,
    observation_feeds,
    run_model,
)
from unit.reflex_export.families.random_smolvla import random_checkpoint

Array = npt.NDArray[Any]
FAMILIES = ("smolvla", "pi0", "pi05")
QUICK = ("case_0", "case_3", "case_rtc_1_exp")
"""All cameras, one that is absent, and real-time chunking."""
CASES = [
    pytest.param(family, case, marks=() if case in QUICK else pytest.mark.slow)
    for family in FAMILIES
    for case in golden_cases(family)
]
ATOL = 1e-4
MASK, VALID_KEYS = 3, 6
"""Inputs of Attention."""


@cache
def masked_graphs(family: str) -> FamilyGraphs:
    return build_graphs(golden_checkpoint(family), (10,), "fp32")


@cache
def counted(family: str, steps: int) -> OnnxModel:
    return counted_of(masked_graphs(family), steps)


def counted_of(graphs: FamilyGraphs, steps: int) -> OnnxModel:
    built = graphs.counted(steps) if graphs.counted else None
    assert built is not None
    return built


@cache
def prefix(family: str, case: str) -> Mapping[str, Array]:
    """All tensors that a denoise graph reads."""
    recorded, checkpoint, graphs = golden_case(family, case), golden_checkpoint(family), masked_graphs(family)
    known = observation_feeds(recorded, checkpoint) | guidance_feeds(recorded, *recorded["noise"].shape[1:])
    for model in (graphs.preprocess, graphs.encoder):
        known |= run_model(model, known)
    return known


def attentions(model: OnnxModel) -> list[list[str]]:
    """The inputs of each."""
    return [list(node.input) for node in onnx.load_from_string(model.content).graph.node if node.op_type == "Attention"]


def has(inputs: list[str], place: int) -> bool:
    return len(inputs) > place and inputs[place] != ""


@pytest.mark.parametrize(("family", "case"), CASES)
def test_the_recorded_actions_are_reproduced(family: str, case: str) -> None:
    recorded = golden_case(family, case)
    if (family, int(recorded["num_steps"])) == ("pi0", 1):
        assert masked_graphs("pi0").counted(1) is None  # type: ignore[misc]
        return
    found = run_model(counted(family, int(recorded["num_steps"])), prefix(family, case))

    assert max_abs(found["actions_normalized"], recorded["actions_norm"]) <= ATOL
    assert max_abs(found["actions"], recorded["actions"]) <= ATOL


@pytest.mark.parametrize("family", FAMILIES)
def test_requests_of_a_batch_have_numbers_of_their_own(family: str) -> None:
    steps = int(golden_case(family, "case_0")["num_steps"])
    model, alone = counted(family, steps), [prefix(family, case) for case in ("case_0", "case_3")]
    assert len({int(known["prefix_mask"].sum()) for known in alone}) == len(alone)

    together = {tensor.name: np.concatenate([known[tensor.name] for known in alone]) for tensor in model.inputs}
    expected = np.concatenate([run_model(model, known)["actions_normalized"] for known in alone])

    assert max_abs(run_model(model, together)["actions_normalized"], expected) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_that_are_not_valid_are_never_seen(family: str) -> None:
    steps = int(golden_case(family, "case_3")["num_steps"])
    model, known = counted(family, steps), prefix(family, "case_3")
    unseen = ~known["prefix_mask"][0]
    spoilt = {name: known[name].copy() for name in ("prefix_keys", "prefix_values")}
    for cache_of_all in spoilt.values():
        cache_of_all[..., unseen, :] = 7.0

    found, changed = (run_model(model, feeds)["actions"] for feeds in (known, {**known, **spoilt}))

    assert unseen.any()
    np.testing.assert_array_equal(found, changed)


@pytest.mark.parametrize(("family", "masked"), [("smolvla", 0), ("pi05", 0), ("pi0", 3)])
def test_only_a_step_whose_tokens_see_different_keys_has_masks(family: str, masked: int) -> None:
    """pi0's state does not see the actions: that is its first step, of three layers here."""
    found = attentions(counted(family, 10))

    assert sum(has(inputs, MASK) for inputs in found) == masked
    assert all(has(inputs, MASK) != has(inputs, VALID_KEYS) for inputs in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_has_hardly_more_operators_than_the_masked_one(family: str) -> None:
    """However many layers and steps there are: what brings the tokens into order is done once."""
    assert node_counts(counted(family, 10)).total() - node_counts(masked_graphs(family).denoise[10]).total() <= 13


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["fp16", "fp16_mlp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_in_fp16_both_forms_round_alike(family: str, arithmetic: Arithmetic) -> None:
    graphs = build_graphs(golden_checkpoint(family), (2,), arithmetic)
    known = dict(prefix(family, "case_3"))
    known |= run_model(graphs.encoder, known)
    masked, found = (run_model(model, known) for model in (graphs.denoise[2], counted_of(graphs, 2)))
    assert max_abs(found["actions_normalized"], masked["actions_normalized"]) <= 2e-3


@pytest.mark.slow
def test_a_policy_trained_for_real_time_chunking_has_the_same_actions_in_both_forms() -> None:
    checkpoint = with_options(golden_checkpoint("pi05"), rtc_training_max_delay=4)
    graphs, known = build_graphs(checkpoint, (4,), "fp32"), dict(prefix("pi05", "case_rtc_1_exp"))
    masked, found = (run_model(model, known) for model in (graphs.denoise[4], counted_of(graphs, 4)))
    assert max_abs(found["actions_normalized"], masked["actions_normalized"]) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("every", [0, 1, 3], ids=["cross-attention alone", "self-attention alone", "every third"])
def test_either_kind_of_layer_is_enough(every: int) -> None:
    checkpoint = random_checkpoint(num_vlm_layers=6, self_attn_every_n_layers=every)
    graphs, random = build_graphs(checkpoint, (2,), "fp32"), np.random.default_rng(0)
    shapes = {tensor.name: (2, *tensor.shape) for tensor in graphs.denoise[2].inputs}
    known: dict[str, Array] = {name: random.standard_normal(shape).astype("f") for name, shape in shapes.items()}
    known["prefix_mask"] = known["prefix_mask"] > 0
    masked, found = (run_model(model, known) for model in (graphs.denoise[2], counted_of(graphs, 2)))
    assert max_abs(found["actions_normalized"], masked["actions_normalized"]) <= 1e-4


def test_a_family_without_padding_has_none() -> None:
    assert build_graphs(golden_checkpoint("act"), (1,), "fp32").counted is None
