from __future__ import annotations

import numpy as np
import pytest

from reflex_analysis.motion.playback import Playback, Seam
from support.motion.scripted import line


def seam_of(found: object) -> Seam | None:
    assert isinstance(found, tuple)
    return found[1]  # type: ignore[no-any-return]  # of a command


def after(first: int, *, old: tuple[float, float], new: tuple[float, float], origin: int) -> Seam | None:
    """The seam at tick `first`, where a chunk whose step 0 belongs to `origin` follows one from tick 0 on."""
    playback = Playback()
    playback.begin(line(*old), 0, 0)
    for tick in range(first):
        playback.command(tick)
    playback.begin(line(*new), origin, first)
    return seam_of(playback.command(first))


def test_a_step_belongs_to_its_tick_and_what_is_past_is_dropped() -> None:
    playback = Playback()
    playback.begin(line(0.0, 1.0), origin=3, tick=10)

    assert playback.executed(10) == 7
    assert playback.left(10) == 43
    found = playback.command(10)
    assert found is not None
    assert found[0] == pytest.approx([7.0])


def test_before_the_first_chunk_and_after_the_last_step_there_is_no_command() -> None:
    playback = Playback()
    assert (playback.command(0), playback.executed(0), playback.left(0)) == (None, None, 0)
    playback.begin(line(0.0, 1.0, steps=2), 0, 0)

    assert playback.command(1) is not None
    assert (playback.command(2), playback.executed(5), playback.left(5)) == (None, 2, 0)


def test_a_chunk_whose_steps_are_all_past_changes_nothing() -> None:
    playback = Playback()
    playback.begin(line(0.0, 1.0), 0, 0)

    assert not playback.begin(line(9.0, 0.0, steps=5), origin=0, tick=5)
    assert playback.begin(line(9.0, 0.0, steps=5), origin=0, tick=4)
    assert playback.length == 5


def test_a_jump_between_two_chunks_is_its_seam() -> None:
    seam = after(10, old=(0.0, 0.1), new=(2.0, 0.1), origin=5)

    assert seam is not None
    # 10: the old chunk would be at 1.0, the new one is at 2.5
    assert seam.tick == 10
    assert seam.excess == pytest.approx([1.5])


def test_a_chunk_that_goes_on_where_the_one_before_would_have_has_no_excess() -> None:
    seam = after(10, old=(0.0, 0.1), new=(0.5, 0.1), origin=5)

    assert seam is not None
    assert seam.excess == pytest.approx([0.0])


def test_a_turn_is_no_jump() -> None:
    """From 0.9 the new chunk goes down, from the very point where the old one was."""
    seam = after(10, old=(0.0, 0.1), new=(1.3, -0.1), origin=5)

    assert seam is not None
    assert seam.excess == pytest.approx([0.0])


def test_a_step_that_the_chunk_before_had_planned_is_ordinary_however_the_new_one_goes_on() -> None:
    """At tick 10 both are at 1.0; the new one comes down to it from 1.3."""
    seam = after(10, old=(0.0, 0.1), new=(2.5, -0.3), origin=5)

    assert seam is not None
    assert seam.excess == pytest.approx([0.0])


def test_the_new_chunks_own_step_is_the_one_into_the_action_that_follows() -> None:
    """It curves: its step into tick 10 is 0.9, from the very point where the arm is, and the next one is 1.1."""
    playback = Playback()
    playback.begin(line(1.6, 0.0), 0, 0)
    for tick in range(10):
        playback.command(tick)
    playback.begin(0.1 * np.arange(50.0)[:, None] ** 2, 5, 10)
    seam = seam_of(playback.command(10))

    assert seam is not None
    assert seam.excess == pytest.approx([0.0])


def test_after_a_standstill_only_the_new_chunks_own_step_is_ordinary() -> None:
    playback = Playback()
    playback.begin(line(0.0, 0.1, steps=5), 0, 0)
    for tick in range(8):
        playback.command(tick)
    playback.begin(line(1.0, 0.2), 8, 8)
    seam = seam_of(playback.command(8))

    assert seam is not None
    # from 0.4 to 1.0, of which 0.2 is a step of the new chunk
    assert seam.excess == pytest.approx([0.4])


def test_each_seam_is_told_once_and_the_beginning_is_none() -> None:
    playback = Playback()
    playback.begin(line(0.0, 0.1), 0, 0)
    assert seam_of(playback.command(0)) is None
    playback.begin(line(3.0, 0.1), 0, 1)

    assert seam_of(playback.command(1)) is not None
    assert seam_of(playback.command(2)) is None
    assert playback.last == pytest.approx([3.2])
