"""The pages of training show the queue and a run's course in a bounded piece, to those who may read or train."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import insert, update

from reflex_control.identity.keys import make_key
from reflex_control.store.tables import training_line, training_metric, training_run
from unit.reflex_control.dashboard.test_site import get
from unit.reflex_control.training.training_scene import Scene

LARGEST_PAGE: int = 150_000
EXPORTED = {
    "policy": "cubes",
    "modelHash": "sha256:" + "5e" * 32,
    "repository": "/srv/policies/cubes",
    "parity": {"verdict": "passed", "cosine": 0.99999, "<b>": [1, {}], "max_abs": 2.4e-05},
}


def page(scene: Scene, path: str) -> str:
    answer = get(scene.plane, path, scene.actor.key_id)
    assert answer.status_code == 200
    return answer.text


def learned(scene: Scene, run_id: str, rows: list[dict[str, Any]]) -> None:
    """Metrics past the API, which takes none that is no number."""
    with scene.plane.writing(scene.actor) as writing:
        writing.connection.execute(insert(training_metric), [{"run_id": run_id, "at": 1, **row} for row in rows])


@pytest.mark.slow
def test_the_queue_has_places_progress_and_what_has_ended_its_reason(scene: Scene) -> None:
    assert "Nothing trains or waits" in page(scene, "/training")
    dataset_id = scene.valid()
    for name in ("trains", "second", "third", "ended"):
        scene.start(name, dataset_id=dataset_id, name=name)
        scene.moment.now_ms += 1
    claim = scene.claimed()
    scene.beat(claim, 41)
    runs = {name: found for found, name in re.findall(r'href="/training/(\w+)"><bdi>(\w+)<', page(scene, "/training"))}
    scene.cancel(runs["ended"])
    text = page(scene, "/training")

    assert list(runs) == ["trains", "second", "third", "ended"]
    assert re.findall(r'data-label="Place" class="number">(\d*)<', text) == ["", "1", "2"]
    assert '<progress max="100" value="41"' in text
    assert text.index("Ended</h2>") < text.index(runs["ended"])
    assert '<td data-label="Why"><bdi>cancelled</bdi></td>' in text


def test_a_run_that_waits_has_its_place_and_may_be_cancelled(scene: Scene) -> None:
    run_id = scene.start()["id"]
    text = page(scene, f"/training/{run_id}")

    assert "Number <strong>1</strong> in the queue" in text
    assert f'action="/training/{run_id}/cancel"' in text
    assert 'aria-label="Loss: nothing yet"' in text
    assert 'data-follow="2"' in text


def test_a_run_that_trains_shows_its_curves_its_log_and_how_long_it_takes(scene: Scene) -> None:
    scene.start()
    claim = scene.claimed()
    metrics = [
        {"step": step, "loss": 9.0 / step, "lr": 1e-4, "grad_norm": 2.0, "update_s": 1.5, "data_s": 0.5}
        for step in (10, 20, 40)
    ]
    scene.beat(claim, 40, metrics=metrics, log=["\x1b[31mred\x1b[0m <b>bold</b>"])
    text = page(scene, f"/training/{claim['runId']}")

    labels = re.findall(r'aria-label="(Loss|Learning rate|Gradient norm): ([^"]+)"', text)
    assert labels[0] == ("Loss", "0.225 at step 40, lowest 0.225, highest 0.9")
    assert [title for title, _ in labels] == ["Loss", "Learning rate", "Gradient norm"]
    assert "\\x1b[31mred\\x1b[0m &lt;b&gt;bold&lt;/b&gt;" in text
    assert '<span class="figure">2 min</span> to go' in text


@pytest.mark.slow
def test_an_ended_run_stands_still_and_says_what_came_of_it(scene: Scene) -> None:
    scene.start()
    claim = scene.claimed()
    scene.end(claim, reason="trained, exported and verified", exported=EXPORTED)
    text = page(scene, f"/training/{claim['runId']}")

    assert "data-follow" not in text
    assert "/cancel" not in text
    for shown in ("trained, exported and verified", "/srv/policies/cubes", "passed", "2.4e-05", "not registered",
                  "training_succeeded", "training_queued"):  # fmt: skip
        assert shown in text, shown
    assert "<b>" not in text


@pytest.mark.slow
def test_a_command_to_type_runs_nothing_that_a_worker_wrote(scene: Scene) -> None:
    scene.start()
    claim = scene.claimed()
    scene.end(claim, exported={**EXPORTED, "repository": "/srv/a b; $(reboot)"})
    text = page(scene, f"/training/{claim['runId']}")
    assert "reflex models register <bdi>&#39;/srv/a b; $(reboot)/cubes&#39;</bdi>" in text


@pytest.mark.slow
@pytest.mark.parametrize("parity", ["<b>", ["<b>"], {"<b>": "<b>" * 10_000}])
def test_a_parity_of_any_shape_is_shown_as_far_as_it_is_one(scene: Scene, parity: Any) -> None:
    scene.start()
    claim = scene.claimed()
    scene.end(claim, exported={**EXPORTED, "parity": parity})
    text = page(scene, f"/training/{claim['runId']}")
    assert ("<b>" in text, len(text) < LARGEST_PAGE) == (False, True)


@pytest.mark.slow
def test_what_no_api_would_have_taken_is_shown_as_the_text_that_it_is_and_in_bounds(scene: Scene) -> None:
    run_id = scene.start()["id"]
    lines = [{"run_id": run_id, "number": at, "text": "<script>\x1b[2J\u202e" + "x" * 100_000} for at in range(200)]
    losses = (float("inf"), -float("inf"), float("nan"), 1e308, -1e308, 0.0, 1e-320, None)
    learned(scene, run_id, [{"step": at, "loss": losses[at % len(losses)]} for at in range(5_000)])
    with scene.plane.writing(scene.actor) as writing:
        writing.connection.execute(insert(training_line), lines)
        writing.connection.execute(
            update(training_run).values(reason="<script>\u202e" * 50, newest={"loss": "<script>"})
        )
    text = page(scene, f"/training/{run_id}")

    assert "<script>\\" not in text.replace("<script>", "", 1)
    assert text.count("<script") == 1
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;\\x1b[2J") == 100
    assert len(text) < LARGEST_PAGE


@pytest.mark.slow
def test_who_may_train_sees_runs_and_who_may_neither_is_refused(scene: Scene) -> None:
    run_id = scene.start()["id"]
    with scene.plane.database.writing() as connection:
        keys = {
            scope: make_key(connection, scene.actor.organisation_id, scope, (scope,), scene.moment.now_ms).id
            for scope in ("train", "read", "sessions")
        }
    for path in ("/datasets", "/training", f"/training/{run_id}"):
        statuses = {scope: get(scene.plane, path, key).status_code for scope, key in keys.items()}
        assert statuses == {"train": 200, "read": 200, "sessions": 403}, path
    assert "training_queued" not in get(scene.plane, f"/training/{run_id}", keys["train"]).text
    assert "data-events" not in get(scene.plane, f"/training/{run_id}", keys["train"]).text
    assert "/cancel" not in get(scene.plane, f"/training/{run_id}", keys["read"]).text
