from __future__ import annotations

import pytest

from reflex.wording.nouns import counted, named


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests"), (12_345, "12,345 requests")]
)
def test_a_number_stands_with_its_noun(count: int, words: str) -> None:
    assert counted(count, "request") == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 axes"), (1, "1 axis"), (7, "7 axes")])
def test_a_noun_may_have_a_plural_of_its_own(count: int, words: str) -> None:
    assert counted(count, "axis", "axes") == words


@pytest.mark.parametrize(
    ("names", "words"),
    [([], "no camera"), (["image"], "the camera image"), (["base", "wrist"], "the cameras base, wrist")],
)
def test_names_stand_behind_their_noun(names: list[str], words: str) -> None:
    assert named("camera", names) == words
