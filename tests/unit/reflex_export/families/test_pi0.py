"""pi0's graphs against recorded values, and against an independent implementation for checkpoints of other sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from reflex.numerics import cosine, max_abs
from reflex.prompts import normalized_state
from reflex_export.checkpoint import RelativeActions
from reflex_export.errors import TensorShapeError, UnsupportedOptionError
from reflex_export.families import pi0
from reflex_export.policy_prompt import state_bins_config
from reflex_export.reading import read_checkpoint
from support.checkpoints.altered import tensors_of, with_options, with_tensors
from support.checkpoints.float16 import run_graphs_rounded
from support.checkpoints.gate import FP16_COSINE, assert_meets_fp16_gate
from support.checkpoints.golden import (
    golden_case,
    golden_cases,
    run_graphs,
    run_model,
    variants_in_whole_runs,
)
from support.checkpoints.pi import (
    answer,
    build,
    differences,
    graphs,
    numpy_chunk,
    random_observation,
    recorded_checkpoint,
)
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.sizes import PiSizes

RECORDED = [(name, case) for name in ("pi0", "variants/pi0_basekeys") for case in golden_cases(name)]
TOLERANCES = {"pixels": 1e-5}
TOLERANCE = 1e-4
LOUD = 200.0
"""Makes the MLP's inner activations exceed 65504, as they may after training."""

OTHER_SIZES = {
    "one camera, one layer": PiSizes(cameras={"only": (30, 50)}, layers=1, width=32, heads=2, head_dim=16, chunk=3),
    "three cameras, deep": PiSizes(
        cameras={"a": (64, 20), "b": (20, 64), "c": (32, 32)}, layers=5, heads=3, head_dim=10, max_action_dim=5
    ),
    "published dtypes, base layout": PiSizes(storage="mixed", prefix="", max_tokens=7, expert_width=40),
    "bfloat16, empty cameras": PiSizes(
        storage="bfloat16", empty_cameras=2, normalization={"STATE": "MIN_MAX", "ACTION": "QUANTILES"}
    ),
    "full width of state and action": PiSizes(
        state_dim=9, action_dim=8, patch=4, image_size=16, min_period=1e-2, max_period=2.0, shards=3
    ),
}


@pytest.mark.parametrize(("name", "case"), variants_in_whole_runs(RECORDED))
def test_every_recorded_value_is_reproduced(name: str, case: str) -> None:
    found = differences(name, case, answer(name, case))
    assert {kind: figure for kind, figure in found.items() if figure > TOLERANCES.get(kind, TOLERANCE)} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), variants_in_whole_runs(RECORDED))
def test_fp16_stays_at_the_gate(name: str, case: str) -> None:
    found, recorded = answer(name, case, "fp16")["actions_normalized"], golden_case(name, case)["actions_norm"]
    assert_meets_fp16_gate(found, recorded)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["case_2", "case_4", "case_rtc_1_exp"])
def test_fp16_stays_close_where_every_value_is_rounded_as_on_a_gpu(case: str) -> None:
    found = answer("pi0", case, "fp16", run_graphs_rounded)["actions_normalized"]
    recorded = golden_case("pi0", case)["actions_norm"]
    assert cosine(found, recorded) >= FP16_COSINE
    assert max_abs(found, recorded) <= 1e-2  # 8.9e-3: what `fp16_mlp` is for


def test_zero_weights_of_chunking_change_nothing_bit_for_bit() -> None:
    quiet = answer("pi0", "case_1")
    loud = quiet | {"prev_chunk": np.full_like(quiet["prev_chunk"], 7.0), "rtc_max_guidance": np.full((1, 1), 9.0, "f")}
    again = run_model(graphs("pi0").denoise[4], loud)
    assert np.array_equal(again["actions"], quiet["actions"])


def test_pixels_of_an_absent_camera_are_never_seen() -> None:
    known = answer("pi0", "case_3")
    other = known | {"pixels.base": known["pixels.base"] + 0.5}
    other |= run_model(graphs("pi0").encoder, other)
    assert np.array_equal(run_model(graphs("pi0").denoise[5], other)["actions"], known["actions"])


def test_a_batch_answers_each_request_as_alone() -> None:
    alone = [answer("pi0", case) for case in ("case_0", "case_rtc_0_linear")]
    names = [value.name for model in (graphs("pi0").encoder, graphs("pi0").denoise[10]) for value in model.inputs]
    batch = {name: np.concatenate([known[name] for known in alone]) for name in names}
    batch |= run_model(graphs("pi0").encoder, batch)
    together = run_model(graphs("pi0").denoise[10], batch)["actions"]
    assert max_abs(together, np.concatenate([known["actions"] for known in alone])) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("sizes", OTHER_SIZES.values(), ids=OTHER_SIZES)
def test_checkpoints_of_other_sizes_agree_with_an_independent_implementation(sizes: PiSizes, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, sizes))
    last = list(sizes.cameras)[-1] if len(sizes.cameras) > 1 else ""
    for seed, absent in enumerate([(), (last,)]):
        known = run_graphs(build(checkpoint, steps=[3]), 3, random_observation(checkpoint, seed=seed, absent=absent))
        state = normalized_state(state_bins_config(checkpoint.state), known["state"][0].tolist())
        expected = numpy_chunk(checkpoint, known, state, 3)[:, : sizes.action_dim]
        assert max_abs(known["actions_normalized"][0], expected) < TOLERANCE


def test_an_unrolled_loop_stores_each_weight_once() -> None:
    once, tenfold = (stored_weights(graphs("pi0").denoise[steps].content) for steps in (1, 10))
    assert once == tenfold
    tensors = recorded_checkpoint("pi0").tensors
    live = [name for name in tensors.names() if "gemma_expert.model" in name or "model.action_" in name]
    width = tensors.shape("model.action_in_proj.weight")[0]
    # Both layers in front of the first activation are one as large as the first; their biases are constants of a step.
    merged = 2 * width * width + 2 * width
    assert sum(once.values()) == sum(tensors.load(name).size for name in live) - merged


def test_the_encoder_has_no_dead_weight() -> None:
    names = stored_weights(graphs("pi0").encoder.content).keys()
    last = "model.paligemma_with_expert.paligemma.model.language_model.layers.2"
    assert {name.removeprefix(last) for name in names if name.startswith(last)} == {
        ".input_layernorm.scale",
        ".self_attn.kv_proj.weight",
    }
    assert not [name for name in names if any(part in name for part in ("lm_head", "model.norm", "expert.model"))]


@pytest.mark.slow
def test_fp16_survives_the_large_activations_of_trained_models(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, PiSizes()))
    tensors = tensors_of(checkpoint)
    for part in ("gate_proj", "up_proj"):
        name = f"model.paligemma_with_expert.paligemma.model.language_model.layers.0.mlp.{part}.weight"
        tensors[name] = tensors[name] * np.float32(LOUD)
    loud, feeds = with_tensors(checkpoint, tensors), random_observation(checkpoint, seed=1)
    found = run_graphs_rounded(build(loud, steps=[2], precision="fp16"), 2, feeds)["actions_normalized"]
    assert cosine(found, run_graphs(build(loud, steps=[2]), 2, feeds)["actions_normalized"]) > 0.9999


def test_relative_actions_get_the_raw_state_added() -> None:
    checkpoint = recorded_checkpoint("pi0")
    mask = (True, False, True, True, True, False)
    relative = pi0.build(replace(checkpoint, relative_actions=RelativeActions(mask)), steps=[4])
    known = answer("pi0", "case_1")
    shifted = run_model(relative.denoise[4], known)["actions"]
    assert max_abs(shifted - known["actions"], np.broadcast_to(known["state"] * mask, shifted.shape)) < 1e-5


def test_options_that_change_the_numbers_are_refused_by_name() -> None:
    checkpoint = recorded_checkpoint("pi0")
    changed = {"adapt_to_pi_aloha": True}
    with pytest.raises(UnsupportedOptionError, match="adapt_to_pi_aloha"):
        pi0.build(with_options(checkpoint, **changed), steps=[1])


def test_an_image_size_that_is_not_the_towers_is_refused() -> None:
    checkpoint = recorded_checkpoint("pi0")
    changed = {"image_resolution": [70, 70]}
    with pytest.raises(TensorShapeError, match="image_resolution"):
        pi0.build(with_options(checkpoint, **changed), steps=[1])


def stored_weights(content: bytes) -> dict[str, int]:
    """Elements of each weight in a graph, by name; constants (c0, c1, ...) are none."""
    stored = onnx.load_from_string(content).graph.initializer
    return {tensor.name: int(np.prod(tensor.dims)) for tensor in stored if "." in tensor.name}
