"""The table and its targets."""

from __future__ import annotations

import pytest

from reflex_bench.fleet.report import Report, Served, table
from reflex_bench.fleet.robots import Score

GOOD = {"ours": 44.9, "theirs": 44.5}
MIXED_UP = Served(45, 25.0, {45: Score(kept=1000, mixed_up=2)})


def report(ours: int, theirs: int, alone: dict[str, float] | None = None) -> Report:
    served = {"ours": Served(ours, ours * 0.575, {}), "theirs": Served(theirs, theirs * 0.575, {})}
    return Report("pi0", "one on Triton", GOOD if alone is None else alone, served)


def test_a_report_that_keeps_both_targets_misses_nothing() -> None:
    assert report(45, 30).missed() == []
    assert "1.500" in table(report(45, 30))
    assert table(report(45, 30)).startswith("pi0, as one on Triton: robots with 98% of their deadlines kept")


@pytest.mark.parametrize(
    ("missed", "words"),
    [
        (report(44, 30), "1.47 times the robots"),
        (report(60, 30, {"ours": 46.0, "theirs": 44.5}), "a lone robot waits 1.034 times as long"),
        (Report("pi0", "one", GOOD, {}, is_whole=False), "it was interrupted"),
        (Report("pi0", "one", GOOD, {"ours": MIXED_UP}), "2 robots were given another robot's chunk, target 0"),
    ],
)
def test_what_is_missed_is_said(missed: Report, words: str) -> None:
    [miss] = missed.missed()
    assert miss.startswith(words)
    assert f"MISSED: {miss}" in table(missed)


def test_of_a_real_policy_a_lone_robot_is_not_compared() -> None:
    assert report(60, 30, {}).missed() == []
