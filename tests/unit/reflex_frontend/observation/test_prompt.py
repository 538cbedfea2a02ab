"""Instruction text to fixed-length token tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.errors import RepositoryError
from reflex.policy_config import PromptConfig
from reflex_frontend.observation.prompt import CACHED_PROMPTS, Prompt, PromptEncoder
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
