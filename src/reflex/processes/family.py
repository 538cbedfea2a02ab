"""All processes that the commands of one run have started, and their end."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex.processes import guardian
from reflex.processes.guardian import MARK, end_all

__all__ = ["Family"]

logger = logging.getLogger("reflex.commands")

STOP_GRACE_S: Final = 1.0
"""How long a command gets at the end of the run, once its stdin is closed, to end by itself."""


@dataclass
class Family:
    """The run's mark. While it is watched, the processes end with this one, however this one ends."""

    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    sessions: set[int] = field(default_factory=set)
    """Of processes that have ended and left something running: it may have put the mark off."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _guardian: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        """Start the program that ends the others if this process is killed."""
        if self._guardian is None:
            self._guardian = subprocess.Popen(  # noqa: S603  # our own
                [sys.executable, "-I", "-S", guardian.__file__, self.mark],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def next_mark(self) -> str:
        """For one more process: its own, by which those that it starts are known, and this run's."""
        return f"{self.mark}-{next(self._numbers)}-"

    def environment(self, mark: str) -> Mapping[str, str]:
        """This process' own, with the mark."""
        return {**os.environ, MARK: mark}

    def remember(self, session: int) -> None:
        """A process has ended; what it left in its session, if anything, ends with the run."""
        try:
            os.killpg(session, 0)
        except OSError:
            return
        self.sessions.add(session)

    def end(self) -> None:
        """None of them is left, in whatever group or session it hid. May be called twice."""
        left = end_all(self.mark, frozenset(self.sessions), STOP_GRACE_S)
        if left:
            logger.error("processes of the robot's commands cannot be ended, not even by SIGKILL: %s", left)
        if self._guardian is not None:
            _closed(self._guardian)
            self._guardian = None


def _closed(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(guardian.KILL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
