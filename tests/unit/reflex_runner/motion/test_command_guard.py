"""Every single command is finite, in range, and one step from the command before it."""

from __future__ import annotations

import numpy as np
import pytest

from reflex.guard import NonFiniteActionError, PreviousActionError
from reflex_runner.motion.command_guard import CommandGuard
from support.runner.arms import arm, pose


def guard(max_clamped_steps: int = 3) -> CommandGuard:
    return CommandGuard(arm(), max_clamped_steps=max_clamped_steps)


def test_it_begins_where_the_robot_is_measured() -> None:
    begun = guard()
    assert begun.widths.tolist() == [200, 100]
    assert not begun.has_begun
    assert begun.begin(pose(40, 30)).tolist() == [40, 30]
    assert begun.has_begun
    assert begun.admit(pose(100, 0)).actions.tolist() == [[48, 14]]


def test_the_step_is_counted_from_the_last_command_and_not_from_what_was_wanted() -> None:
    begun = guard()
    begun.begin(pose(0, 0))
    assert begun.admit(pose(50, 0)).actions[0].tolist() == [8, 0]
    assert begun.admit(pose(50, 0)).actions[0].tolist() == [16, 0]
    assert begun.commanded.tolist() == [16, 0]


def test_a_robot_up_to_a_step_outside_its_range_is_led_back_by_the_first_command() -> None:
    assert guard().begin(pose(0, -16)).tolist() == [0, 0]


@pytest.mark.parametrize("measured", [(0, -16.1), (108.5, 0)])
def test_one_further_outside_is_refused_and_nothing_begins(measured: tuple[float, float]) -> None:
    begun = guard()
    with pytest.raises(PreviousActionError, match=r"axis. is measured at .*outside its range.*by hand"):
        begun.begin(pose(*measured))
    assert not begun.has_begun


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_robot_that_is_measured_nowhere_is_refused(value: float) -> None:
    with pytest.raises(PreviousActionError, match=r"axis1 is measured as .*check its motor"):
        guard().begin(pose(0, value))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_before_anything_is_held_and_the_last_command_stays(value: float) -> None:
    begun = guard()
    begun.begin(pose(1, 2))
    with pytest.raises(NonFiniteActionError):
        begun.admit(np.array([50.0, value]))
    assert begun.commanded.tolist() == [1, 2]


def test_nothing_is_commanded_before_it_is_known_where_the_robot_is() -> None:
    with pytest.raises(PreviousActionError, match="where the robot is"):
        guard().admit(pose(0, 0))
    begun = guard()
    begun.begin(pose(0, 0))
    begun.forget()
    with pytest.raises(PreviousActionError):
        _ = begun.commanded


def test_so_many_changed_commands_in_a_row_are_too_many_and_one_that_is_not_changed_begins_anew() -> None:
    begun = guard(3)
    begun.begin(pose(0, 0))
    changes = []
    for wanted in (50, 50, 16, 50, 50, 50):
        last = begun.admit(pose(wanted, 0))
        changes.append(begun.changes_too_much)
    assert changes == [False, False, False, False, False, True]
    assert begun.last_words(last.violations) == (
        "3 commands in a row had to be changed by the guard: axis0 wanted 50, held at 40 (step_limit)"
    )


def test_a_new_beginning_forgets_what_was_changed_before() -> None:
    begun = guard(1)
    begun.begin(pose(0, 0))
    begun.admit(pose(50, 0))
    begun.begin(pose(0, 0))
    assert not begun.changes_too_much
