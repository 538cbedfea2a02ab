"""pi0.5's prompts and graphs against recorded values, and against an independent implementation for other sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from reflex.numerics import max_abs
from reflex.prompts import normalized_state, prompt_text
from reflex_export.checkpoint import Checkpoint, Normalizer
from reflex_export.errors import UnsupportedOptionError
from reflex_export.families import pi05
from reflex_export.policy_prompt import prompt_config, state_bins_config
from reflex_export.reading import read_checkpoint
from support.checkpoints.altered import with_options
from support.checkpoints.float16 import run_graphs_rounded
from support.checkpoints.gate import assert_meets_fp16_gate
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

RECORDED = [(name, case) for name in ("pi05", "variants/pi05_basekeys") for case in golden_cases(name)]
TOLERANCES = {"pixels": 1e-5}
TOLERANCE = 1e-4

OTHER_SIZES = {
    "one camera, one layer": PiSizes(
        family="pi05", cameras={"only": (30, 50)}, layers=1, heads=2, head_dim=16, chunk=3
    ),
    "three cameras, deep, empty ones": PiSizes(
        family="pi05", cameras={"a": (64, 20), "b": (20, 64), "c": (32, 32)}, layers=5, heads=3, empty_cameras=1
    ),
    "published dtypes, base layout": PiSizes(family="pi05", storage="mixed", prefix="", expert_width=40),
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
    found = answer("pi05", case, "fp16", run_graphs_rounded)["actions_normalized"]
    recorded = golden_case("pi05", case)["actions_norm"]
    assert_meets_fp16_gate(found, recorded)


@pytest.mark.parametrize(("name", "case"), variants_in_whole_runs(RECORDED))
def test_prompts_and_tokens_are_the_recorded_ones(name: str, case: str) -> None:
    recorded, checkpoint = golden_case(name, case), recorded_checkpoint(name)
    config, raw = prompt_config(checkpoint), recorded["state_raw"].tolist()
    assert config is not None
    state = normalized_state(state_bins_config(checkpoint.state), raw)
    prompt = prompt_text(config, str(recorded["task"]), raw)
    assert state.dtype == np.float32
    assert np.array_equal(state, recorded["state_normalized"][0])
    assert prompt == str(recorded["prompt"])
    assert np.array_equal(tokens_of(checkpoint, prompt), recorded["tokens"][0])


def test_recorded_prompts_reach_beyond_both_ends_of_the_bins() -> None:
    bins = {
        number
        for name, case in RECORDED
        for number in str(golden_case(name, case)["prompt"]).partition("State: ")[2].partition(";")[0].split()
    }
    assert {"-1", "255"} <= bins


def test_a_joint_that_never_moved_is_at_the_low_end() -> None:
    statistics = {"q01": np.array([0.5, 0.0], "f"), "q99": np.array([0.5, 1.0], "f")}
    config = state_bins_config(Normalizer("QUANTILES", statistics))
    assert normalized_state(config, [0.5, 0.5]).tolist() == [-1.0, 0.0]


def test_statistics_that_are_absent_leave_the_state_as_it_is() -> None:
    assert normalized_state(state_bins_config(Normalizer("QUANTILES")), [0.25, 3.0]).tolist() == [0.25, 3.0]


def test_the_state_reaches_the_policy_by_its_prompt_only() -> None:
    declared = {value.name for model in (graphs("pi05").encoder, graphs("pi05").denoise[1]) for value in model.inputs}
    assert "tokens" in declared
    assert "state" not in declared


def test_zero_weights_of_chunking_change_nothing_bit_for_bit() -> None:
    quiet = answer("pi05", "case_1")
    loud = quiet | {"prev_chunk": np.full_like(quiet["prev_chunk"], 7.0), "rtc_max_guidance": np.full((1, 1), 9.0, "f")}
    again = run_model(graphs("pi05").denoise[4], loud)
    assert np.array_equal(again["actions"], quiet["actions"])


@pytest.mark.slow
@pytest.mark.parametrize("sizes", OTHER_SIZES.values(), ids=OTHER_SIZES)
def test_checkpoints_of_other_sizes_agree_with_an_independent_implementation(sizes: PiSizes, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, sizes))
    last = list(sizes.cameras)[-1] if len(sizes.cameras) > 1 else ""
    for seed, absent in enumerate([(), (last,)]):
        known = run_graphs(build(checkpoint, steps=[3]), 3, random_observation(checkpoint, seed=seed, absent=absent))
        expected = numpy_chunk(checkpoint, known, known["state"][0], 3)[:, : sizes.action_dim]
        assert max_abs(known["actions_normalized"][0], expected) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("fixed", [0, 2, 6])
def test_chunking_that_was_trained_keeps_the_given_actions_and_denoises_the_rest(fixed: int, tmp_path: Path) -> None:
    sizes = PiSizes(family="pi05", config={"rtc_training_max_delay": 4})
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, sizes))
    feeds = random_observation(checkpoint, seed=5)
    feeds["prev_chunk"] = np.random.RandomState(6).standard_normal(feeds["noise"].shape).astype(np.float32)
    feeds["rtc_weights"][0, :fixed] = 1.0
    known = run_graphs(build(checkpoint, steps=[3]), 3, feeds)
    expected = numpy_chunk(checkpoint, known, known["state"][0], 3, fixed)[:, : sizes.action_dim]
    assert np.array_equal(known["actions_normalized"][0, :fixed], feeds["prev_chunk"][0, :fixed, : sizes.action_dim])
    assert max_abs(known["actions_normalized"][0], expected) < TOLERANCE


@pytest.mark.parametrize("option", ["use_visual_memory", "use_proprioceptive_memory"])
def test_policies_that_remember_are_refused_by_name(option: str) -> None:
    checkpoint = recorded_checkpoint("pi05")
    with pytest.raises(UnsupportedOptionError, match=option):
        pi05.build(with_options(checkpoint, **{option: True}), steps=[1])


def tokens_of(checkpoint: Checkpoint, prompt: str) -> list[int]:
    """What the frontend makes of a prompt, by the checkpoint's text settings."""
    text = checkpoint.text
    assert text is not None
    tokenizer = Tokenizer.from_str(text.tokenizer_json)
    tokenizer.enable_truncation(text.max_tokens, direction=text.truncation_side)
    tokenizer.enable_padding(direction=text.padding_side, pad_id=text.pad_id, length=text.max_tokens)
    return list(tokenizer.encode(prompt).ids)
