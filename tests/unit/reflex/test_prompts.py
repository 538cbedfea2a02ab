"""The text of prompts, to the bin."""

from __future__ import annotations

import numpy as np
import pytest

from reflex.policy_config import PromptConfig, StateBinsConfig
from reflex.prompts import normalized_state, prompt_text, state_bins

BINS = StateBinsConfig(mode="QUANTILES", low=(0.0, 1.0, 2.0), high=(1.0, 1.0, 4.0), eps=1e-8)


def pi05() -> PromptConfig:
    template = "Task: {instruction}, State: {state};\nAction: "
    return PromptConfig(style="state_bins", template=template, max_tokens=8, state_bins=BINS)


def test_a_state_in_the_prompt_is_a_bin_per_entry_below_is_minus_one_and_the_middle_128() -> None:
    assert state_bins(BINS, (0.5, 1.0, 5.0)) == [128, 0, 255]
    assert state_bins(BINS, (-0.1, 1.0, 3.0)) == [-1, 0, 128]


def test_the_words_are_cleaned_as_in_training_and_the_state_follows() -> None:
    text = prompt_text(pi05(), " pick_up the\ncup ", (0.5, 1.0, 3.0))
    assert text == "Task: pick up the cup, State: 128 0 128;\nAction: "


def test_an_instruction_that_spells_a_placeholder_stays_what_it_is() -> None:
    assert prompt_text(pi05(), "{state}", (0.5, 1.0, 3.0)) == "Task: {state}, State: 128 0 128;\nAction: "


@pytest.mark.parametrize(("instruction", "text"), [("pick", "pick\n"), ("pick\n", "pick\n"), ("", "\n")])
def test_the_newline_is_there_exactly_once(instruction: str, text: str) -> None:
    assert prompt_text(PromptConfig(style="newline", max_tokens=8), instruction, ()) == text


AS_IT_IS = StateBinsConfig(mode="IDENTITY", eps=1e-8)


@pytest.mark.parametrize(
    ("value", "number"), [(-1.1, -1), (-1.0, 0), (0.0, 128), (0.9921, 254), (0.9922, 255), (1.0, 255), (40.0, 255)]
)
def test_a_state_falls_into_the_bin_of(value: float, number: int) -> None:
    assert state_bins(AS_IT_IS, (value,)) == [number]


def test_a_state_without_statistics_is_spelt_as_it_is() -> None:
    assert normalized_state(AS_IT_IS, (0.25, 3.0)).tolist() == [0.25, 3.0]


def test_a_state_may_be_standardised() -> None:
    config = StateBinsConfig(mode="MEAN_STD", low=(1.0,), high=(0.5,), eps=0.0)
    assert normalized_state(config, (1.25,)).tolist() == [0.5]
    assert normalized_state(config, (1.25,)).dtype == np.float32
