"""Lines have numbers, so that none stands twice; metrics are as many as a curve needs, however long the run."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from reflex_control.training import records
from reflex_control.training.queue import LEASE_MS
from reflex_control.training.records import lines_of, metrics_of
from reflex_control.training.runs import find_run
from reflex_learning.training.journal import Journal
from unit.reflex_control.training.training_scene import Scene


@pytest.fixture
def claim(scene: Scene) -> dict[str, Any]:
    scene.start()
    return scene.claimed()


def logged(scene: Scene, run_id: str, after: int = 0, limit: int = 100) -> dict[str, Any]:
    with scene.plane.reading() as connection:
        run = find_run(connection, scene.actor.organisation_id, run_id)
        return lines_of(connection, run, after, limit)


def texts(scene: Scene, claim: dict[str, Any]) -> list[str]:
    return [line["text"] for line in logged(scene, claim["runId"])["lines"]]


def steps(scene: Scene, claim: dict[str, Any]) -> list[int]:
    with scene.plane.reading() as connection:
        return [metric["step"] for metric in metrics_of(connection, claim["runId"])]


def metrics(*given: int, loss: float = 0.5) -> list[dict[str, Any]]:
    return [{"step": step, "loss": loss, "others": {"l1": 0.25}} for step in given]


def test_a_beat_that_comes_twice_is_no_second_copy(scene: Scene, claim: dict[str, Any]) -> None:
    scene.beat(claim, log=["a", "b"], first_line=0)
    scene.beat(claim, log=["a", "b", "c"], first_line=0)
    scene.end(claim, log=["c", "d"], first_line=2)
    assert texts(scene, claim) == ["a", "b", "c", "d"]


def test_the_lines_of_a_later_claim_follow_those_of_the_first(scene: Scene, claim: dict[str, Any]) -> None:
    scene.beat(claim, log=["a", "b"])
    scene.moment.now_ms += LEASE_MS
    again = scene.claimed()
    assert (claim["nextLine"], again["nextLine"]) == (0, 2)
    scene.beat(again, log=["b", "c"], first_line=1)
    assert texts(scene, again) == ["a", "b", "c"]
    assert [line["number"] for line in logged(scene, claim["runId"])["lines"]] == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_over_machines_deaths_and_lost_answers_no_line_stands_twice(scene: Scene, tmp_path: Path, seed: int) -> None:
    chance, said = random.Random(seed), itertools.count()
    run_id, reached = scene.start()["id"], set[str]()
    for _ in range(8):
        claim, folder = scene.claimed(), tmp_path / chance.choice("ab")
        folder.mkdir(exist_ok=True)
        journal = Journal(folder, claim["attempt"], claim["nextLine"])
        for _ in range(chance.randrange(6)):
            journal.say(f"line {next(said)}")
            batch = journal.next_batch()
            if chance.random() < 0.7:
                scene.beat(claim, log=batch.lines, first_line=batch.first_line)
                reached.update(batch.lines)
                if chance.random() < 0.7:
                    journal.told(batch)  # else its answer was lost
        scene.moment.now_ms += LEASE_MS

    lines = logged(scene, run_id)["lines"]
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert sorted(line["text"] for line in lines) == sorted(reached)


def test_a_page_of_lines_says_where_the_next_begins(scene: Scene, claim: dict[str, Any]) -> None:
    scene.beat(claim, log=["a", "b", "c"])
    page = logged(scene, claim["runId"], 1, 1)
    assert page == {"lines": [{"number": 1, "text": "b"}], "nextLine": 2, "firstKept": 0}
    assert logged(scene, claim["runId"], 3)["nextLine"] == 3


def test_of_a_long_log_the_newest_lines_stay(
    scene: Scene, claim: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_LINES", 5)
    for first in range(0, 12, 3):
        scene.beat(claim, log=[str(first + number) for number in range(3)], first_line=first)
    assert texts(scene, claim) == ["7", "8", "9", "10", "11"]
    assert logged(scene, claim["runId"])["firstKept"] == 7


def test_metrics_are_kept_by_their_steps_once(scene: Scene, claim: dict[str, Any]) -> None:
    scene.beat(claim, metrics=metrics(10, 20))
    scene.beat(claim, metrics=metrics(10, 20, 30, loss=0.125))
    assert steps(scene, claim) == [10, 20, 30]
    assert scene.run(claim["runId"])["newest"] == {"step": 30, "loss": 0.125, "others": {"l1": 0.25}, "attempt": 1}


def test_a_claim_that_resumes_earlier_takes_back_what_was_lost(scene: Scene, claim: dict[str, Any]) -> None:
    scene.beat(claim, metrics=metrics(10, 20, 30))
    scene.moment.now_ms += LEASE_MS
    again = scene.claimed()
    scene.beat(again, metrics=metrics(15))
    assert steps(scene, again) == [10, 15]


@pytest.mark.slow
def test_of_a_long_run_the_whole_course_stays_in_few_metrics(
    scene: Scene, claim: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_METRICS", 20)
    for first in range(1, 501, 10):
        scene.beat(claim, metrics=metrics(*range(first, first + 10)))
    kept = steps(scene, claim)

    gaps = {later - earlier for earlier, later in itertools.pairwise(kept)}
    assert 10 <= len(kept) <= 20
    assert (kept[0], kept[-1] > 450) == (1, True)
    assert max(gaps) <= 2 * min(gaps)
