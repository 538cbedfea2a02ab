"""A run's receipts are found among many others, without reading all of them."""

from __future__ import annotations

import pytest

from reflex_control.receipting import Facts
from reflex_control.training import attested
from reflex_control.training.attested import receipts_of_run
from reflex_control.training.runs import find_run
from unit.reflex_control.training.training_scene import Scene


def kinds(scene: Scene, run_id: str) -> list[str]:
    with scene.plane.reading() as connection:
        run = find_run(connection, scene.actor.organisation_id, run_id)
        return [each["kind"] for each in receipts_of_run(connection, run)]


def others(scene: Scene, number: int) -> None:
    """Receipts of something else, one each second."""
    with scene.plane.writing(scene.actor) as writing:
        for _ in range(number):
            writing.receipt("other", Facts(reason="something"))
    scene.moment.now_ms += 1_000


def test_a_runs_receipts_are_its_own_the_last_first(scene: Scene) -> None:
    others(scene, 3)
    dataset_id = scene.valid()
    mine = scene.start("a", dataset_id=dataset_id)["id"]
    other = scene.start("b", dataset_id=dataset_id)["id"]
    others(scene, 2)
    scene.cancel(other)
    scene.cancel(mine)
    others(scene, 2)

    assert kinds(scene, mine) == ["training_cancelled", "training_queued"]
    assert kinds(scene, other) == ["training_cancelled", "training_queued"]


@pytest.mark.slow
def test_beginning_and_end_are_found_however_many_others_lie_around(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attested, "LOOKED_THROUGH", 3)
    others(scene, 9)
    run_id = scene.start()["id"]
    others(scene, 9)
    others(scene, 9)
    claim = scene.claimed()
    scene.end(claim, "failed")
    scene.moment.now_ms += 1_000
    others(scene, 9)

    assert kinds(scene, run_id) == ["training_failed", "training_queued"]


def test_a_run_that_goes_on_has_the_newest_of_all(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attested, "LOOKED_THROUGH", 3)
    run_id = scene.start()["id"]
    others(scene, 9)
    claim = scene.claimed()
    scene.beat(claim)
    with scene.plane.writing(scene.actor) as writing:
        writing.receipt("training_requeued", Facts(reason=f"{run_id}: its worker was silent"))
        writing.receipt("training_requeued", Facts(reason=f"of another one, not {run_id}"))

    assert kinds(scene, run_id) == ["training_requeued", "training_queued"]
