"""The threads that move the robot come first, where the machine lets them."""

from __future__ import annotations

import os
import sys

import pytest

from reflex_runner.loop.precedence import take_precedence


def test_the_thread_takes_precedence_where_it_may_and_goes_on_where_it_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def refuse(pid: int, policy: int, parameter: os.sched_param) -> None:
        taken.append((pid, policy, parameter.sched_priority))
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    take_precedence()
    assert taken == [(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 10)]
    take_precedence(below=1)
    assert taken[1][2] == 9
    monkeypatch.delattr(os, "sched_setscheduler")
    take_precedence()
    assert sys.getswitchinterval() <= 0.0005
