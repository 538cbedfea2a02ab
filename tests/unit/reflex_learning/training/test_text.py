"""Lines are told apart from the bar that overwrites itself, in pieces of any size."""

from __future__ import annotations

import pytest

from reflex.training.port import MAX_LINE_CHARACTERS
from reflex_learning.training.text import TrainerText

SAID = (
    "INFO 2026-11-27 00:59:20 ot_train.py:298 Creating dataset\n"
    "\rTraining:   0%|          | 0/3000 [00:00<?, ?step/s]"
    "\rTraining:  41%|████      | 1229/3000 [12:22<17:50,  1.65step/s]"
    "INFO 2026-11-27 00:59:20 ot_train.py:641 step:1K loss:0.066\n"
    "\rTraining:  41%|████      | 1230/3000 [12:22<17:50,  1.65step/s]\n"
    "End"
).encode()
LINES = [
    "INFO 2026-11-27 00:59:20 ot_train.py:298 Creating dataset",
    "INFO 2026-11-27 00:59:20 ot_train.py:641 step:1K loss:0.066",
    "End",
]


@pytest.mark.parametrize("size", [1, 7, 64, len(SAID)])
def test_lines_and_steps(size: int) -> None:
    text = TrainerText(3000)

    lines = [line for start in range(0, len(SAID), size) for line in text.feed(SAID[start : start + size])]

    assert [*lines, *text.end()] == LINES
    assert text.step == 1230


def test_the_bar_of_a_resumed_run_counts_from_there() -> None:
    text = TrainerText(3000)
    assert list(text.feed(b"\rTraining:  10%|#   | 100/1000 [00:01<00:02, 1step/s]\n")) == []

    assert text.step == 2100


def test_what_is_too_long_or_moves_a_terminal_is_harmless() -> None:
    text = TrainerText(1)
    lines = list(text.feed(b"\x1b[2Jred\n" + b"x" * 10**6 + b"\n\xff\n"))

    assert lines == ["\N{REPLACEMENT CHARACTER}[2Jred", "x" * MAX_LINE_CHARACTERS, "\N{REPLACEMENT CHARACTER}"]
    assert list(text.feed(b"y" * 10**6)) == []
    assert len(next(iter(text.end()))) == MAX_LINE_CHARACTERS
