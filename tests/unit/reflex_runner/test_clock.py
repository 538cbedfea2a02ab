"""The runner's clock goes forward, and waits no longer than it is told."""

from __future__ import annotations

from reflex_runner.clock import SYSTEM_CLOCK


def test_it_sleeps_until_the_moment_and_not_at_all_for_one_that_is_past() -> None:
    began = SYSTEM_CLOCK.now()
    SYSTEM_CLOCK.sleep_until(began - 1)
    SYSTEM_CLOCK.sleep_until(began + 0.01)
    assert SYSTEM_CLOCK.now() >= began + 0.01
