"""Whether this computer has slept; two clocks that are read one after the other are no nap."""

from __future__ import annotations

import pytest

from reflex_runner.loop.wakefulness import Wakefulness, asleep_s


def test_a_nap_is_told_until_it_begins_anew() -> None:
    slept = [5.0]
    wakefulness = Wakefulness(lambda: slept[0])
    assert wakefulness.nap_s() == 0.0
    slept[0] = 65.0
    assert [wakefulness.nap_s(), wakefulness.nap_s()] == [60.0, 60.0]
    wakefulness.begin_anew()
    assert wakefulness.nap_s() == 0.0


@pytest.mark.parametrize("readings", [[4.2, 5.0, 5.0, 5.0, 4.0, 5.0], [4.0, 4.1, 5.0, 5.05, 5.0, 4.9]])
def test_a_thread_that_is_kept_waiting_between_the_clocks_is_no_nap(readings: list[float]) -> None:
    said = iter(readings)
    wakefulness = Wakefulness(lambda: next(said))
    assert [wakefulness.nap_s() for _ in readings[3:]] == [0.0, 0.0, 0.0]


def test_this_computer_is_awake_while_it_is_asked() -> None:
    assert asleep_s() > -1
    assert Wakefulness().nap_s() == 0.0
