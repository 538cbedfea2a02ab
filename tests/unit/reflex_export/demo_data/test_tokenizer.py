from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from reflex_export.demo_data.demo_checkpoint import SIZES
from reflex_export.demo_data.tokenizer import PAD_ID, build_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(build_tokenizer())


@pytest.mark.parametrize(
    "text", ["", "\n", "pick up the red cup\n", "à côté", "拿起杯子 🤖", "a\u0000b\u200d\ufeff", "<pad>"]
)
def test_any_text_survives_the_round_trip_without_padding_ids(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text).ids

    assert tokenizer.decode(ids) == text
    assert PAD_ID not in ids


def test_everyday_instructions_fit_the_policy(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("pick up the red cup and place it on the blue plate\n").ids

    assert len(ids) < SIZES.max_tokens / 2


def test_every_id_has_an_embedding(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == SIZES.vocabulary
    assert tokenizer.token_to_id("<pad>") == PAD_ID


def test_file_is_the_same_every_time() -> None:
    assert build_tokenizer() == build_tokenizer()
