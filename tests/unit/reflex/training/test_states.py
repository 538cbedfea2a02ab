"""Every state is one of three: waiting, worked on, or ended."""

from __future__ import annotations

from reflex.training.states import ENDED, RUN_STATES, WORKED_ON


def test_every_state_is_waiting_worked_on_or_ended() -> None:
    assert {"queued"} | WORKED_ON | ENDED == set(RUN_STATES)
    assert not WORKED_ON & ENDED
