"""Two evaluations are compared seed by seed; what only one of them played is left out."""

from __future__ import annotations

from reflex_runner.evaluation.comparison import Comparison
from reflex_runner.evaluation.outcomes import EpisodeOutcome, Evaluation
from reflex_runner.evaluation.report import EvaluationReport
from reflex_runner.loop.tally import RunProblem


def evaluation(**won: bool) -> Evaluation:
    episodes = tuple(
        EpisodeOutcome(int(seed[1:]), "pick", success, "x", 30, 0, {"p50": 4.0}, 1.0, 0.5, f"{seed}{success}")
        for seed, success in won.items()
    )
    return Evaluation("demo", episodes, len(episodes))


def test_who_won_which_seed_and_by_how_much() -> None:
    found = Comparison(
        evaluation(s1=True, s2=True, s3=False, s4=False, s5=True), evaluation(s1=True, s2=False, s3=True, s4=False)
    )
    assert tuple(found.pairs) == (1, 1, 1, 1)
    assert (found.first_only, found.second_only, found.difference, found.p_value) == ((2,), (3,), 0.0, 1.0)
    assert found.interval.low < 0 < found.interval.high
    assert found.identical == 2
    assert (found.as_json()["pairs"], found.as_json()["firstOnly"]) == (4, [2])


def test_of_no_common_seed_nothing_is_said() -> None:
    found = Comparison(evaluation(s1=True), evaluation(s2=True))
    assert (found.pairs.total, found.difference, tuple(found.interval)) == (0, 0.0, (-1.0, 1.0))


def test_an_evaluation_says_how_fast_and_how_long() -> None:
    found = evaluation(s1=True, s2=False)
    assert (found.times_real_time, found.median_steps, found.median_latency_ms) == (2.0, 30.0, 4.0)
    empty = Evaluation("demo", (), 3)
    assert (empty.times_real_time, empty.median_steps, empty.median_latency_ms, empty.rate) == (0.0, None, None, 0.0)


def test_a_report_counts_the_errors_of_all() -> None:
    broken = Evaluation("demo", (), 3, errors=(RunProblem("unreachable", "away"),))
    report = EvaluationReport(evaluation(s1=True), Comparison(evaluation(s1=True), broken))
    assert [each.policy for each in report.all] == ["demo", "demo"]
    assert (report.errors[0].code, report.as_json()["ok"], report.is_interrupted) == ("unreachable", False, False)
