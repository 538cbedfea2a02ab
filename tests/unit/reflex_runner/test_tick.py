"""What a run tells of itself cannot be changed by whoever hears it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reflex_runner.tick import DatedChunk, Event, Tick

TOLD = [
    Tick(step=0, at_s=1.0, kind="wait"),
    DatedChunk(0, 1.0, 1.1, np.zeros((2, 6), np.float32), 1 / 30),
    Event(1.0, "info", "begun", "the run begins"),
]


@pytest.mark.parametrize("told", TOLD, ids=lambda told: type(told).__name__)
def test_it_cannot_be_changed(told: Tick | DatedChunk | Event) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(told, dataclasses.fields(told)[0].name, 2)


def test_a_period_in_which_nothing_was_commanded_says_so() -> None:
    tick = Tick(step=0, at_s=1.0, kind="wait")
    assert (tick.command, tick.applied, tick.violations) == (None, False, ())
