"""Two policies are told beside each other: who won which seed, and what of the difference is chance."""

from __future__ import annotations

import pytest

from reflex.cli.evaluation.told import lines_of
from reflex_runner.evaluation import Comparison, EpisodeOutcome, Evaluation, EvaluationReport
from reflex_runner.evaluation.page import render_page
from reflex_runner.loop.tally import RunProblem


def evaluation(policy: str, won: str) -> Evaluation:
    """A `+` for each seed that was won."""
    episodes = tuple(
        EpisodeOutcome(10_000 + index, "", mark == "+", "x", 30, 0, {"p50": 9.0}, 1.0, 0.5, f"{policy}{index}")
        for index, mark in enumerate(won)
    )
    return Evaluation(policy, episodes, len(won))


FIRST, SECOND = evaluation("pick@1", "+++++++++-"), evaluation("<b>@2", "++++++--++")
REPORT = EvaluationReport(FIRST, Comparison(FIRST, SECOND))


def test_who_won_which_seed() -> None:
    lines = list(lines_of(REPORT))
    assert lines[0] == "pick@1: success 9 of 10: 90.0 %, 95 % interval 59.6 to 98.2 %"
    assert lines[3].startswith("<b>@2: success 8 of 10: 80.0 %")
    assert lines[5].startswith("difference on 10 seeds, of the second to the first: -10.0 %, 95 % interval -")
    assert lines[5].endswith("; McNemar's exact p 1")
    assert lines[6:] == [
        "won by the first alone: 2 seeds: 10006, 10007",
        "won by the second alone: 1 seed: 10009",
        "the same to the bit: 0 episodes",
    ]


def test_many_seeds_are_not_all_listed() -> None:
    first, second = evaluation("a", "+" * 30), evaluation("b", "-" * 30)
    lines = list(lines_of(EvaluationReport(first, Comparison(first, second))))
    assert any(line.endswith("10019 and 10 more") for line in lines)


def test_an_error_is_told_beside_what_was_played(capsys: pytest.CaptureFixture[str]) -> None:
    cut = Evaluation("pick@1", (), 5, errors=(RunProblem("unreachable", "the server is away"),))
    assert next(iter(lines_of(EvaluationReport(cut)))).endswith("5 were not played")
    list(lines_of(EvaluationReport(cut)))
    assert "unreachable: the server is away" in capsys.readouterr().err


def test_a_page_shows_what_a_server_says_as_text() -> None:
    page = render_page(REPORT)
    assert "<b>@2" not in page
    assert "Against &lt;b&gt;@2: -10.0 %" in page
    assert "10006, 10007" in page
