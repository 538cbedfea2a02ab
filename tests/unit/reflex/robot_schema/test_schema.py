"""`RobotSchema`: what contradicts itself is none, and equal limits have equal hashes."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from reflex.embodiments import load_embodiment
from reflex.robot_schema import Camera, RobotSchema, SafeStop

ARM = load_embodiment("so101")
HOLD = SafeStop(hold_after_ms=200, stop_after_ms=1000, ladder=("hold",))
REST = replace(HOLD, ladder=("hold", "return_to_rest"), rest_pose=(0.0, -98, 94, 60, 0, 5), rest_speed=0.1)
SCHEMA = RobotSchema(ARM, (Camera("front", required=True),), REST)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"hold_after_ms": 0}, "hold_after_ms must be above 0"),
        ({"hold_after_ms": -1}, "hold_after_ms must be above 0"),
        ({"stop_after_ms": 200}, "below stop_after_ms"),
        ({"stop_after_ms": 60_001}, "at most 60000"),
        ({"ladder": ()}, "at least one of hold, return_to_rest, release"),
        ({"ladder": ("return_to_rest", "hold")}, "in that order"),
        ({"ladder": ("hold", "hold")}, "each once"),
        ({"ladder": ("hold", "fall")}, "at least one of"),
        ({"ladder": ("hold", "return_to_rest")}, "rest_pose and rest_speed are given exactly when"),
        ({"ladder": ("return_to_rest",), "rest_pose": (0.0,)}, "rest_pose and rest_speed are given exactly when"),
        ({"rest_speed": 0.5}, "rest_pose and rest_speed are given exactly when"),
        ({"ladder": ("release",)}, "release_is_safe must be true"),
        ({"ladder": ("hold", "release"), "release_is_safe": 1}, "release_is_safe must be true"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_safe_stop_that_leaves_something_open_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(HOLD, **change)


@pytest.mark.parametrize("speed", [0.0, -0.1, 1.01, math.nan, math.inf])
def test_a_rest_speed_is_a_share_of_the_step_limit(speed: float) -> None:
    with pytest.raises(ValueError, match="rest_speed must be above 0"):
        replace(REST, rest_speed=speed)
    assert replace(REST, rest_speed=1.0).rest_speed == 1.0


def test_every_ladder_in_its_order_is_taken() -> None:
    for ladder in (("hold",), ("release",), ("hold", "release")):
        assert replace(HOLD, ladder=ladder, release_is_safe=True).ladder == ladder
    assert replace(REST, ladder=("return_to_rest", "release"), release_is_safe=True).rest_pose == REST.rest_pose


@pytest.mark.parametrize(
    ("pose", "complaint"),
    [
        ((0.0,) * 5, "must have 6 values, one an action axis, not 5"),
        ((0.0,) * 7, "must have 6 values"),
        ((0.0, -100.1, 0, 0, 0, 0), "shoulder_lift lies outside the range of its action, -100 to 100"),
        ((0.0, 0, 0, 0, 0, -1), "gripper lies outside"),
        ((math.nan, 0, 0, 0, 0, 0), "shoulder_pan lies outside"),
    ],
)
def test_a_rest_pose_that_the_robot_may_not_take_is_refused(pose: tuple[float, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"safe_stop.rest_pose.*{complaint}"):
        replace(SCHEMA, safe_stop=replace(REST, rest_pose=pose))


def test_two_cameras_of_one_name_are_refused_and_none_is_fine() -> None:
    with pytest.raises(ValueError, match="cameras must have different names"):
        replace(SCHEMA, cameras=(Camera("front", required=True), Camera("front", required=False)))
    assert replace(SCHEMA, cameras=()).cameras == ()


@pytest.mark.parametrize("name", ["", "a" * 65, "front\n", "\x1b[2J"])
def test_a_camera_has_a_name_that_can_be_shown(name: str) -> None:
    with pytest.raises(ValueError, match="name must have 1 to 64 printable characters"):
        Camera(name, required=True)


def test_a_schema_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SCHEMA.simulation = True  # type: ignore[misc]


@pytest.mark.parametrize("field", ["action_low", "action_high", "action_max_step", "action_names", "action_units"])
def test_another_limit_is_another_hash(field: str) -> None:
    first, *rest = getattr(ARM, field)
    changed: dict[str, Any] = {field: (first + "x" if isinstance(first, str) else first * 0.999, *rest)}
    assert replace(SCHEMA, embodiment=replace(ARM, **changed)).limits_hash != SCHEMA.limits_hash


def test_another_rate_is_another_hash_and_what_is_no_limit_is_none() -> None:
    assert replace(SCHEMA, embodiment=replace(ARM, control_hz=31)).limits_hash != SCHEMA.limits_hash
    other = replace(
        ARM, name="other", description="other", sources=ARM.sources[:1], mean_state=(1.0, *ARM.mean_state[1:])
    )
    assert RobotSchema(other, (), HOLD, simulation=True).limits_hash == SCHEMA.limits_hash


def test_the_hash_does_not_depend_on_how_a_number_is_spelt() -> None:
    respelt = replace(ARM, action_low=(-110, -100, -96.8, -95, -180, -0.0), control_hz=30)
    assert replace(SCHEMA, embodiment=respelt).limits_hash == SCHEMA.limits_hash
    # Written down in credentials and receipts: it must not change with a version.
    assert SCHEMA.limits_hash == "sha256:9edc595fe1f625bd6e69d63ff94b88ca087d6f38ab3e1d7f1749700acdf7aea9"
