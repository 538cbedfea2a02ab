"""`Watchdog`: the runner's end of the pipes to the process that stops the robot when the runner cannot."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from typing import Final, Protocol

from reflex.embodiments import StopLadder
from reflex_runner.errors import RunnerError
from reflex_runner.loop import guardian
from reflex_runner.loop.heartbeats import ARM, BEAT, DISARM, FAREWELL, PATIENCE
from reflex_runner.loop.watch_handle import WatchHandle, first_safe_rungs

__all__ = ["SILENCE_S", "Unwatched", "Verdict", "Watch", "Watchdog"]

SILENCE_S: Final = 0.5
"""A control loop that says nothing for so long has frozen."""
LEAST_PERIODS: Final = 3
START_S: Final = 20.0
END_S: Final = 5.0
WORD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why nothing may be applied any more; `has_acted`: the robot has been stopped already."""

    message: str
    has_acted: bool = False


class Watch(Protocol):
    """What the control loop says to whoever watches it."""

    def beat(self) -> None:
        """Once a period."""
        ...

    def arm(self) -> None:
        """Before a command."""
        ...

    def disarm(self) -> None:
        """The robot is stopped."""
        ...

    def be_patient(self) -> None:
        """What is done now may take longer than a period."""
        ...

    def verdict(self) -> Verdict | None:
        """None while all is well."""
        ...


class Unwatched:
    """For a run that moves nothing, and for a connector without a handle."""

    def beat(self) -> None:
        """Nobody listens."""

    def arm(self) -> None:
        """Nobody listens."""

    def disarm(self) -> None:
        """Nobody listens."""

    def be_patient(self) -> None:
        """Nobody listens."""

    def verdict(self) -> Verdict | None:
        """Nobody judges."""
        return None


class Watchdog:
    """Started before the first command; the control loop beats. Its process outlives ours, and Ctrl-C passes it by."""

    def __init__(
        self, handle: WatchHandle, ladder: StopLadder, period_s: float, *, silence_s: float = SILENCE_S
    ) -> None:
        told = {
            "handle": handle.as_json(), "rungs": first_safe_rungs(ladder, handle), "path": sys.path,
            "silence_s": max(silence_s, LEAST_PERIODS * period_s),
        }  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our own Python and module
            [sys.executable, "-m", guardian.__name__, json.dumps(told)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, pass_fds=handle.descriptors,
        )  # fmt: skip
        self._beats, self._words = _descriptors(self._process)
        self._is_armed = False
        self._verdict: Verdict | None = None
        os.set_blocking(self._beats, False)
        os.set_blocking(self._words, False)
        self._await_ready()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def beat(self) -> None:
        """Once a period."""
        self._say(BEAT)

    def arm(self) -> None:
        """Before a command: from the first on, our death stops the robot. The first may take longer: torque goes on."""
        if not self._is_armed:
            self._is_armed = True
            self._say(ARM + PATIENCE)

    def disarm(self) -> None:
        """The robot is stopped: our death changes nothing."""
        self._is_armed = False
        self._say(DISARM)

    def be_patient(self) -> None:
        """What is done now may take longer than a period."""
        self._say(PATIENCE)

    def verdict(self) -> Verdict | None:
        """None while all is well; costs one look into a pipe."""
        if self._verdict is None:
            self._verdict = self._judged(self._word())
        return self._verdict

    def dismiss(self) -> None:
        """The run is over: its process ends, and does nothing more to the robot."""
        self._say(FAREWELL)
        with self._process:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _await_ready(self) -> None:
        readable, _, _ = select.select([self._words], [], [], START_S)
        word = self._word() if readable else None
        if word != guardian.READY:
            self._process.kill()
            with self._process:
                pass
            raise RunnerError(
                "the watchdog, which stops the robot if this process dies, did not start; its own words are above"
            )

    def _word(self) -> str | None:
        """What it said since the last look; empty when it is gone, None when there is nothing."""
        try:
            return os.read(self._words, WORD_BYTES).decode(errors="replace").strip()
        except BlockingIOError:
            return None

    def _judged(self, word: str | None) -> Verdict | None:
        if word is None:
            return None
        if not word:
            return Verdict("the watchdog has died: nothing would stop the robot if this process died, too")
        if word.startswith(guardian.FAILED):
            return Verdict(f"the control loop was silent, and the watchdog could not stop the robot: {word}")
        return Verdict(f"the control loop was silent, and the watchdog has stopped the robot: {word}", has_acted=True)

    def _say(self, word: bytes) -> None:
        try:
            os.write(self._beats, word)
        except BlockingIOError:
            self._verdict = self._verdict or Verdict(
                "the watchdog hears nothing any more: nothing would stop the robot if this process died"
            )
        except BrokenPipeError:
            pass  # `verdict` says that it is gone


def _descriptors(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    if process.stdin is None or process.stdout is None:
        raise RunnerError("the watchdog was started without its pipes")
    return process.stdin.fileno(), process.stdout.fileno()
