"""Instruction text to fixed-length token tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.errors import RepositoryError
from reflex.policy_config import PromptConfig, StateBinsConfig
from reflex_frontend.prompt import CACHED_PROMPTS, Prompt, PromptEncoder, prompt_text, state_bins
from support.fakes import tokenizer


@pytest.fixture
def policy_dir(tmp_path: Path) -> Path:
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def encoder(policy_dir: Path, **changes: Any) -> PromptEncoder:
    fields: dict[str, Any] = {"template": "{instruction}", "max_tokens": 4, "pad_id": 0} | changes
    return PromptEncoder.load(PromptConfig(**fields), policy_dir)


def ids(prompt: Prompt) -> tuple[list[int], list[bool]]:
    return np.frombuffer(prompt.tokens, np.int64).tolist(), np.frombuffer(prompt.token_mask, np.bool_).tolist()


@pytest.mark.parametrize(
    ("changes", "text", "tokens", "mask"),
    [
        ({}, "pick up", [1, 2, 0, 0], [True, True, False, False]),
        ({"padding_side": "left"}, "pick up", [0, 0, 1, 2], [False, False, True, True]),
        ({"pad_id": 9}, "pick", [1, 9, 9, 9], [True, False, False, False]),
        ({}, "pick up the red cup", [1, 2, 3, 4], [True] * 4),
        ({"truncation_side": "left"}, "pick up the red cup", [2, 3, 4, 5], [True] * 4),
        ({"template": "the {instruction} cup"}, "red", [3, 4, 5, 0], [True, True, True, False]),
        ({}, "", [0, 0, 0, 0], [False] * 4),
        ({}, "unheard of", [0, 0, 0, 0], [True, True, False, False]),
    ],
)
def test_text_is_filled_in_cut_and_padded_as_the_policy_was_trained(
    policy_dir: Path, changes: dict[str, Any], text: str, tokens: list[int], mask: list[bool]
) -> None:
    assert ids(encoder(policy_dir, **changes).encode(text, ())) == (tokens, mask)


@pytest.mark.parametrize("text", ["{instruction}", "{}", "{0.__class__}", "%s", "{instruction"])
def test_braces_in_an_instruction_are_only_text(policy_dir: Path, text: str) -> None:
    encoder(policy_dir, template="the {instruction}").encode(text, ())


def test_padding_and_truncation_stored_in_the_tokenizer_file_do_not_apply(tmp_path: Path) -> None:
    odd = tokenizer()
    odd.enable_padding(length=16, pad_id=5)
    odd.enable_truncation(1)
    odd.save(str(tmp_path / "tokenizer.json"))
    assert ids(encoder(tmp_path).encode("pick up", ()))[0] == [1, 2, 0, 0]


def test_the_same_instruction_is_tokenised_once_and_old_ones_are_forgotten(policy_dir: Path) -> None:
    subject = encoder(policy_dir)
    first = subject.encode("pick", ())
    assert subject.encode("pick", ()) is first
    for number in range(CACHED_PROMPTS):
        subject.encode(f"pick {number}", ())
    assert subject.encode("pick", ()) is not first
    assert len(subject._cache) == CACHED_PROMPTS


@pytest.mark.parametrize("content", [None, "", "{}", "no json"])
def test_a_missing_or_broken_tokenizer_is_a_repository_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(RepositoryError, match="export the policy again"):
        encoder(tmp_path)


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
