"""What is looked at is as much as a page shows, however much there is and whatever strangers wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import insert, select

from reflex_control.store.tables import training_line, training_metric
from reflex_control.training import looking
from reflex_control.training.looking import (
    LINE_CHARACTERS,
    VERDICT_CHARACTERS,
    counts_by_state,
    course_of,
    datasets_to_look_at,
    last_lines,
    names_of_datasets,
    runs_to_look_at,
)
from unit.reflex_control.training.training_scene import HASH, Scene


def metrics(scene: Scene, run_id: str, steps: range, **values: Any) -> None:
    rows = [{"run_id": run_id, "at": 1, "step": step, "loss": 0.5, **values} for step in steps]
    with scene.plane.writing(scene.actor) as writing:
        writing.connection.execute(insert(training_metric), rows)


def course(scene: Scene, run_id: str, points: int) -> list[int]:
    with scene.plane.reading() as connection:
        return [row.step for row in course_of(connection, run_id, points)]


def looked(scene: Scene, *, ended: bool, limit: int = 10) -> list[str]:
    with scene.plane.reading() as connection:
        return [row.id for row in runs_to_look_at(connection, scene.actor.organisation_id, limit, ended=ended)]


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "points"), [(0, 4), (1, 4), (3, 4), (5, 4), (5000, 40)])
def test_a_course_has_few_points_from_the_first_step_to_the_last(scene: Scene, steps: int, points: int) -> None:
    run_id = scene.start()["id"]
    metrics(scene, run_id, range(7, 7 + steps)) if steps else None
    found = course(scene, run_id, points)

    assert len(found) == min(steps, len(found)) <= points + 2
    assert found == sorted(set(found))
    assert steps == 0 or (found[0], found[-1]) == (7, 6 + steps)


def test_a_course_is_whole_where_steps_lie_far_apart_and_knows_no_other_run(scene: Scene) -> None:
    mine, other = scene.start(request_id="a")["id"], scene.start(request_id="b")["id"]
    metrics(scene, mine, range(0, 1_000_000, 50_000))
    metrics(scene, other, range(3, 1_000))
    assert course(scene, mine, 400) == list(range(0, 1_000_000, 50_000))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_course_of_many_metrics_is_no_more_work_than_one_of_few(scene: Scene) -> None:
    short, long = scene.start(request_id="a")["id"], scene.start(request_id="b")["id"]
    metrics(scene, short, range(1_000))
    metrics(scene, long, range(20_000))
    assert work_of(scene, long) < 1.5 * work_of(scene, short)


def work_of(scene: Scene, run_id: str) -> int:
    """Instructions of SQLite's machine, in hundreds."""
    done: list[None] = []
    with scene.plane.reading() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: done.append(None), 100)
        course_of(connection, run_id, 40)
        driver.set_progress_handler(None, 0)
    return len(done)


def test_what_no_number_is_comes_as_it_was_kept(scene: Scene) -> None:
    run_id = scene.start()["id"]
    for step, loss in enumerate((None, float("inf"), 0.5)):
        metrics(scene, run_id, range(step, step + 1), loss=loss)
    with scene.plane.reading() as connection:
        assert [row.loss for row in course_of(connection, run_id)] == [None, float("inf"), 0.5]


def test_of_a_log_the_last_lines_come_with_their_beginning(scene: Scene) -> None:
    run_id = scene.start()["id"]
    texts = ["first", "x" * 1_000_000, "last"]
    rows = [{"run_id": run_id, "number": number, "text": text} for number, text in enumerate(texts)]
    with scene.plane.writing(scene.actor) as writing:
        writing.connection.execute(insert(training_line), rows)
    with scene.plane.reading() as connection:
        found = last_lines(connection, run_id, 2)
        assert connection.scalar(select(training_line.c.number).where(training_line.c.number == 1)) == 1

    assert [(line.number, len(line.text), line.is_cut) for line in found] == [(1, LINE_CHARACTERS, True), (2, 4, False)]


def test_the_queue_comes_in_its_order_and_what_has_ended_the_last_first(scene: Scene) -> None:
    dataset_id = scene.valid()
    ids = []
    for name in "abcd":
        ids.append(scene.start(name, dataset_id=dataset_id)["id"])
        scene.moment.now_ms += 1
    for ending in (ids[2], ids[0]):
        scene.cancel(ending)
        scene.moment.now_ms += 1

    assert looked(scene, ended=False) == [ids[1], ids[3]]
    assert looked(scene, ended=True) == [ids[0], ids[2]]
    assert looked(scene, ended=True, limit=1) == [ids[0]]
    with scene.plane.reading() as connection:
        assert counts_by_state(connection, scene.actor.organisation_id) == {"queued": 2, "cancelled": 2}
        assert counts_by_state(connection, "org_other") == {}
        assert runs_to_look_at(connection, "org_other", 10, ended=True) == []


def test_datasets_come_the_newest_first_with_their_verdicts(scene: Scene) -> None:
    old = scene.valid()
    scene.moment.now_ms += 1
    new = scene.register(place="elsewhere")["id"]
    with scene.plane.reading() as connection:
        found = datasets_to_look_at(connection, scene.actor.organisation_id, 10)
        assert names_of_datasets(connection, scene.actor.organisation_id, [old, "data_none"]) == {old: "cubes"}
        assert datasets_to_look_at(connection, "org_other", 10) == []

    assert [row.id for row in found] == [new, old]
    assert (found[0].told, json.loads(found[1].told)) == (None, {"errors": 0, "warnings": 1})


def test_a_verdict_that_is_too_long_is_not_read(scene: Scene) -> None:
    identity = scene.register()["id"]
    scene.validate(identity, "invalid", HASH, {"errors": 1, "failed": ["x" * VERDICT_CHARACTERS]})
    with scene.plane.reading() as connection:
        (found,) = datasets_to_look_at(connection, scene.actor.organisation_id, 1)
    assert found.told is None
    assert looking.CURVE_POINTS < 1_000
