"""Whatever happens in a run: no command that is not finite, out of range, too far or of an old chunk, none after stops.

REFLEX_RUNNER_HISTORIES is the number of random histories (default 300); `make runner-histories` plays 20,000.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.runner.histories import History

HISTORIES: Final = int(os.environ.get("REFLEX_RUNNER_HISTORIES", "300"))
PER_EXAMPLE: Final = 10
"""Hypothesis draws a seed; numpy makes this many histories of it, for speed."""


@pytest.fixture(autouse=True, scope="module")
def _no_log() -> Iterator[None]:
    """Thousands of runs have nothing to say to a reader."""
    logger = logging.getLogger("reflex.runner")
    logger.disabled = True
    yield
    logger.disabled = False


@pytest.mark.slow
@settings(max_examples=max(1, HISTORIES // PER_EXAMPLE), deadline=None)
@given(st.integers(0, 2**40))
def test_no_history_breaks_a_promise(seed: int) -> None:
    for number in range(PER_EXAMPLE):
        History(seed * PER_EXAMPLE + number).run()


@pytest.mark.slow
def test_the_histories_visit_what_is_hard() -> None:
    """A history that never moves would keep every promise."""
    histories = [History(seed) for seed in range(60)]
    for history in histories:
        history.run()
    moves = [history.promises.moves for history in histories]
    kinds = {tick.kind for history in histories for tick in history.world.told.ticks}
    causes = {event.code for history in histories for event in history.world.told.events}
    whats = {done.what for history in histories for done in history.world.connector.done}
    assert sum(moves) > 300
    assert kinds == {"wait", "move", "hold", "stop"}
    assert {"drawn", "stale_chunk", "clamped_steps", "refused_chunk", "not_permitted", "watchdog", "resumed"} <= causes
    assert whats == {"apply", "safe_stop", "release"}
