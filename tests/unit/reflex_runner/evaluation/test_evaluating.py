"""The same seeds for every policy; whatever ends an evaluation, what was played counts."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError, TransportError
from reflex_runner.config.sections import (
    HardwareConfig,
    RobotConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)
from reflex_runner.evaluation import Evaluation, EvaluationReport, evaluate
from reflex_runner.evaluation.ablation import parse_ablation
from reflex_runner.evaluation.settings import EvaluationSettings
from support.runner.reaching import Reaching

CONFIG = RobotConfig(
    hardware=HardwareConfig("arms:Reaching"),
    session=SessionConfig(mode="apply_actions", max_steps=40, instruction="reach"),
    target=TargetConfig(kind="expert", connect_timeout_s=0.2),
    safety=SafetyConfig(ease_in_s=0.1),
)
SEEDS = range(5, 10)
"""No arm reaches what 7 asks for."""


def settings(*ablations: str, **others: Any) -> EvaluationSettings:
    chosen: dict[str, Any] = {"seeds": SEEDS, "config": CONFIG, **others}
    return EvaluationSettings(ablations=tuple(map(parse_ablation, ablations)), **chosen)


def evaluated(arm: Any = None, asked: EvaluationSettings | None = None, **keywords: Any) -> EvaluationReport:
    return evaluate(asked or settings(), build_robot=lambda: arm or Reaching(), **keywords)


def test_every_seed_is_played_and_counted_with_its_interval() -> None:
    heard = list[Evaluation]()
    found = evaluated(progress=heard.append).evaluation
    assert [(each.seed, each.success) for each in found.episodes] == [
        (5, True), (6, True), (7, False), (8, True), (9, True),
    ]  # fmt: skip
    assert (found.successes, found.rate, found.is_whole, found.policy) == (4, 0.8, True, "expert")
    assert found.interval == pytest.approx((0.3755, 0.9638), abs=1e-4)
    assert found.episodes[2].ended_by == "max_steps"
    assert found.episodes[2].lasted_s == pytest.approx(40 / 30, abs=0.05)
    assert [round(each.rate, 2) for each in heard] == [1.0, 1.0, 0.67, 0.75, 0.8]
    assert json.loads(json.dumps(found.as_json()))["interval"][0] == pytest.approx(0.3755, abs=1e-4)


def test_the_same_seeds_go_the_same_way() -> None:
    first, second = evaluated().evaluation, evaluated().evaluation
    assert [each.fingerprint for each in first.episodes] == [each.fingerprint for each in second.episodes]
    assert len({each.fingerprint for each in first.episodes}) == len(SEEDS)


def test_ablations_are_compared_on_the_same_seeds() -> None:
    report = evaluated(asked=settings("instruction", "image=other"))
    assert [each.second.without for each in report.ablations] == ["instruction", "image=other"]
    assert [each.identical for each in report.ablations] == [5, 5], "this expert looks at neither"
    assert [each.second.rate for each in report.ablations] == [0.8, 0.8]
    assert report.as_json()["ablations"][0]["pairs"] == 5


def test_what_another_episode_began_with_needs_another_episode() -> None:
    with pytest.raises(SetupError, match="needs two episodes"):
        evaluated(asked=settings("image=other", seeds=range(5, 6)))


@pytest.mark.parametrize("seeds", [(), (3, 3), (-1,), (1.5,), (True,), (10**9,)])
def test_what_are_no_seeds_is_refused(seeds: Any) -> None:
    with pytest.raises(SetupError, match="whole numbers from 0 on, each once"):
        evaluated(asked=settings(seeds=seeds))


def test_an_expert_is_compared_with_no_server() -> None:
    with pytest.raises(SetupError, match="leave --against out"):
        evaluated(asked=settings(kind="expert", against="http://b:8000"))


def test_after_an_interruption_what_was_played_counts_and_nothing_more_is_begun() -> None:
    class Interrupting(Reaching):
        def get_observation(self) -> Any:
            if len(self.seeds) == 3:
                signal.raise_signal(signal.SIGINT)
            return super().get_observation()

    report = evaluated(Interrupting(), settings("image"))
    assert (report.is_interrupted, report.errors, report.ablations) == (True, (), ())
    assert [each.seed for each in report.evaluation.episodes] == [5, 6]
    assert report.as_json()["ok"] is False


def test_ctrl_c_between_two_episodes_is_one_as_well() -> None:
    class Between(Reaching):
        def reset(self, seed: int) -> None:
            if seed == 7:
                raise KeyboardInterrupt
            super().reset(seed)

    report = evaluated(Between())
    assert (report.is_interrupted, len(report.evaluation.episodes)) == (True, 2)


def test_a_server_that_goes_away_loses_its_episode_alone() -> None:
    arm = Reaching()

    def gone(_seq: int) -> None:
        if len(arm.seeds) == 3:
            raise TransportError("away")

    arm.fault = gone
    report = evaluated(arm, settings("image"))
    assert [error.code for error in report.errors] == ["unreachable"]
    assert ([each.seed for each in report.evaluation.episodes], report.ablations) == ([5, 6], ())
    assert report.evaluation.is_whole is False


def test_the_folder_has_each_episode_at_once_the_films_of_failures_and_the_whole(tmp_path: Path) -> None:
    out, lines = tmp_path / "out", list[int]()

    def look(_so_far: Evaluation) -> None:
        lines.append(len((out / "episodes.jsonl").read_text().splitlines()))

    report = evaluated(asked=settings("image", out=out), progress=look)
    assert lines == list(range(1, 11))
    whole = json.loads((out / "evaluation.json").read_text())
    assert (whole["rate"], whole["ablations"][0]["second"]["without"]) == (0.8, "image")
    film = report.evaluation.episodes[2].film
    assert film == out / "failures" / "policy" / "seed_7.mp4"
    assert film.stat().st_size > 500
    assert sorted(path.name for path in out.rglob("*.jpg")) == ["seed_7.jpg", "seed_7.jpg"]
    with pytest.raises(SetupError, match="is not empty"):
        evaluated(asked=settings(out=out))


def test_a_robot_that_does_not_know_how_it_went_is_refused() -> None:
    class Unknowing(Reaching):
        succeeded: Any = None

    with pytest.raises(SetupError, match="attribute `succeeded`"):
        evaluated(Unknowing())


def test_a_policy_that_does_wrong_has_failed_and_the_next_episode_is_played() -> None:
    strict = replace(CONFIG, safety=SafetyConfig(max_clamped_steps=1, ease_in_s=0.0))
    report = evaluated(Reaching(is_mad=True), settings(seeds=(7, 14), config=strict, max_steps=60))
    assert [each.ended_by for each in report.evaluation.episodes] == ["clamped_steps"] * 2
    assert (report.evaluation.rate, report.errors) == (0.0, ())
