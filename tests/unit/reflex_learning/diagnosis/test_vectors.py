"""What may have happened to states and actions: each change and its inverse lead back to where they began."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from reflex.embodiments import load_embodiment
from reflex_learning.diagnosis.served import Served, Spread
from reflex_learning.diagnosis.vectors import changes_of, zero_changes

ROBOT = load_embodiment("so101_sim")
NAMES = ROBOT.action_names
RECORDED = np.array([[12.0, -30.0, 40.0, 60.0, 3.0, 20.0], [-5.0, 10.0, 20.0, 50.0, -3.0, 80.0]])


def served(**changes: Any) -> Served:
    told = Served(
        "pick", is_trained=True, cameras={"front": True}, sizes={}, state_dim=6, action_dim=6, horizon=16, executed=16,
        takes_instruction=True, precision="fp32", modes={}, action_spread=None, robot=ROBOT,
    )  # fmt: skip
    return dataclasses.replace(told, **changes)


def changes(of: Served, seen: list[Any] | None = None) -> dict[str, Any]:
    return {each.key: each for each in changes_of(of, NAMES, ROBOT.action_units, NAMES, seen)}


def test_every_change_has_an_inverse() -> None:
    spread = Spread(np.full(6, 9.0), np.arange(6.0))
    seen = [RECORDED.mean(0), np.full(6, 4.0), RECORDED.min(0), RECORDED.max(0)]
    found = changes(served(action_spread=spread), seen)

    assert {each.kind for each in found.values()} == {"units", "gripper", "sign", "order", "statistics"}
    for change in found.values():
        assert change.inverse(change.forward(RECORDED)) == pytest.approx(RECORDED)


def test_radians_become_degrees_and_the_gripper_stays() -> None:
    change = changes(served())["units recorded in radians, the policy's are degrees"]
    radians = np.array([*np.radians(RECORDED[0, :5]), 20.0])

    assert change.forward(radians) == pytest.approx(RECORDED[0])


def test_an_inverted_gripper_is_turned_round_within_its_range() -> None:
    change = changes(served())["gripper open and closed are exchanged"]

    assert change.forward(RECORDED)[:, 5] == pytest.approx([80.0, 20.0])


def test_a_zero_is_moved_back_by_what_it_is_off() -> None:
    (change,) = zero_changes(NAMES, [("elbow_flex", 25.0), ("no such axis", 1.0)])

    assert change.forward(RECORDED)[:, 2] == pytest.approx([15.0, -5.0])


def test_statistics_of_the_same_kind_of_recordings_are_no_hypothesis() -> None:
    seen = [np.zeros(6), np.full(6, 10.0), np.full(6, -20.0), np.full(6, 20.0)]
    near = Spread(np.full(6, 10.5), np.full(6, 1.0))
    far = Spread(np.full(6, 20.0), np.full(6, 8.0))

    assert not any(key.startswith("statistics") for key in changes(served(action_spread=near), seen))
    found = changes(served(action_spread=far), seen)[
        "statistics they are foreign; by mean and standard deviation of the dataset it fits"
    ]
    assert found.forward(np.full(6, 10.0)) == pytest.approx(np.full(6, 28.0))


def test_only_suspects_are_tried_one_by_one() -> None:
    found = changes_of(served(), NAMES, ROBOT.action_units, ["gripper", "elbow_flex"], None)

    assert sorted(each.detail for each in found if each.kind == "sign") == ["of elbow_flex", "of gripper"]
    assert "elbow_flex and gripper" in [each.detail for each in found if each.kind == "order"]
