"""The page of datasets says of each how it stands and what to type, whatever was said of it."""

from __future__ import annotations

from typing import Any

import pytest

from unit.reflex_control.dashboard.test_site import get
from unit.reflex_control.training.training_scene import HASH, Scene


def page(scene: Scene) -> str:
    answer = get(scene.plane, "/datasets", scene.actor.key_id)
    assert answer.status_code == 200
    return answer.text


@pytest.mark.slow
def test_each_dataset_has_its_state_its_hash_and_the_next_command(scene: Scene) -> None:
    identity = scene.register()["id"]
    assert f"reflex datasets validate {identity}" in page(scene)
    scene.validate(identity, "validating")
    assert "is validated" in page(scene)
    scene.validate(identity, "valid", verdict={"errors": 0, "warnings": 1, "episodes": 12, "frames": 3480})
    text = page(scene)

    assert f"reflex training start {identity} --base act" in text
    for shown in (
        "12 episodes, 3,480 frames, 3 files, 30 bytes",
        "0 errors, 1 warning",
        HASH[:19],
        'badge good">valid',
    ):
        assert shown in text, shown


def test_what_was_found_is_named_rule_by_rule(scene: Scene) -> None:
    identity = scene.register()["id"]
    failed = [{"id": "timestamps-rate", "severity": "error", "count": 14}]
    scene.validate(identity, "invalid", verdict={"errors": 1, "warnings": 0, "failed": failed})
    text = page(scene)

    assert "<code><bdi>timestamps-rate</bdi></code>" in text
    assert "14 times" in text
    assert "Mend what the validation names" in text


@pytest.mark.slow
@pytest.mark.parametrize("verdict", [{}, {"errors": "<b>", "failed": "x"}, {"failed": [1, {"id": "<b>"}, {}]}])
def test_a_verdict_of_any_shape_is_shown_as_far_as_it_is_one(scene: Scene, verdict: dict[str, Any]) -> None:
    scene.validate(scene.register()["id"], "invalid", verdict=verdict)
    assert "<b>" not in page(scene)


@pytest.mark.slow
def test_of_many_datasets_the_newest_are_shown_and_how_to_see_the_others(scene: Scene) -> None:
    assert "reflex datasets register FOLDER" in page(scene)
    for number in range(103):
        scene.register(place=f"place {number}")
        scene.moment.now_ms += 1
    text = page(scene)

    assert (text.count("<bdi>cubes</bdi>"), "place 102" in text, "place 2<" in text) == (100, True, False)
    assert "reflex datasets registered" in text
