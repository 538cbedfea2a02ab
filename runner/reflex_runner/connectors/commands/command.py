"""A command of robot.yaml: a process for each request, or one that stays, asked from several threads."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.processes.family import Family
from reflex_runner.connectors.commands.answers import parse_answer, refuse_error
from reflex_runner.connectors.commands.program import ONE_LINE, Program, Said, how_it_ended
from reflex_runner.errors import HardwareError

__all__ = ["STOP_GRACE_S", "Command", "Launch"]

STOP_GRACE_S: Final = 0.5
FAILED_GRACE_S: Final = 0.2
"""How long a command that failed gets between SIGTERM and SIGKILL: the safe stop waits for it."""
ENDING_S: Final = 2.0
"""Until what was killed is gone, on a busy machine."""


@dataclass(frozen=True)
class Launch:
    """How a command is started."""

    argv: Sequence[str]
    folder: Path
    family: Family
    is_kept: bool
    """Whether one process answers all requests."""
    start_timeout_s: float
    start_request: Callable[[bool], Mapping[str, Any]]
    """What `start` says, by whether an earlier process of the command was asked to apply anything."""
    end_s: float = STOP_GRACE_S
    """At the end of the run, for a process whose stdin was closed."""


class Command:
    """Asks one at a time. What fails is ended with all that it started; the next request starts it anew."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.started: Mapping[str, Any] = {}
        """What a process that stays answered to `start`."""
        self._turn = threading.Lock()
        self._program: Program | None = None
        self._seq = 0
        self._failed: HardwareError | None = None
        self._was_applied = False
        """A process of it was asked to apply something, whatever it made of that."""

    def start(self, name: str) -> None:
        """Of one that stays: its process runs and is ready."""
        if self.launch.is_kept:
            with self._turn:
                self._ready(name)

    def ask(
        self,
        name: str,
        fields: Mapping[str, Any],
        timeout_s: float,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> dict[str, Any]:
        """The answer to one request; `HardwareError` says what the command did instead.

        One that is wanted no more when its turn comes is not asked, and its answer is empty.
        Where it waited behind another request that failed, it says what that one did: its time began earlier. A safe
        stop is asked whatever has failed.
        """
        failed_before = self._failed
        if not self._turn.acquire(timeout=timeout_s + FAILED_GRACE_S + ENDING_S):
            raise HardwareError(f"The {name} command timed out: its process still answered another request")
        try:
            if self._failed is not None and self._failed is not failed_before and fields["op"] != "safe_stop":
                raise HardwareError(str(self._failed))
            if not is_wanted():
                return {}
            program = self._ready(name)
            self._was_applied = self._was_applied or fields["op"] == "apply"
            return self._answer_of(program, name, fields, timeout_s)
        finally:
            self._turn.release()

    def interrupt(self, patience_s: float) -> None:
        """Whoever asks now gets an answer within that time, or finds the command killed."""
        if self._turn.acquire(timeout=patience_s):
            self._turn.release()
        elif (program := self._program) is not None:
            program.kill()

    def end(self) -> None:
        """No process of it is left. May be called twice."""
        self.interrupt(STOP_GRACE_S)
        with self._turn:
            self._drop(self.launch.end_s, STOP_GRACE_S)
            self._was_applied = False

    def _drop(self, eof_s: float = 0.0, term_s: float = FAILED_GRACE_S) -> str:
        """End the process, if there is one; its last words."""
        program, self._program = self._program, None
        return program.end(eof_s, term_s) if program is not None else ""

    def _ready(self, name: str) -> Program:
        if self._program is not None:
            return self._program
        self._program = program = self._launched(name)
        if self.launch.is_kept:
            self._begin(program, name)
        return program

    def _begin(self, program: Program, name: str) -> None:
        """One that is not ready is ended: nothing else is asked of it."""
        asked = {"op": "start", **self.launch.start_request(self._was_applied)}
        try:
            self.started = self._answer_of(program, name, asked, self.launch.start_timeout_s)
        except HardwareError:
            self._drop()
            raise

    def _launched(self, name: str) -> Program:
        try:
            return Program(self.launch.argv, self.launch.folder, self.launch.family, name)
        except OSError as exc:
            raise HardwareError(f"The {name} command cannot be started: {exc.filename}: {exc.strerror}") from exc

    def _answer_of(self, program: Program, name: str, fields: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        self._seq += 1
        until_s = time.monotonic() + timeout_s
        said = program.ask(_line({**fields, "seq": self._seq}), until_s)
        if not self.launch.is_kept and not said.problem:
            said = self._ended(program, said, until_s)
        if said.problem:
            last = self._drop()
            advice = _advice(said.problem, fields["op"], timeout_s)
            told = f"The {name} command {said.problem}{advice}{f' It last said: {last}' if last else ''}"
            self._failed = HardwareError(told)
            raise self._failed
        try:
            answer = parse_answer(said.line, name, self._seq if self.launch.is_kept else None)
        except HardwareError:
            self._drop()
            raise
        refuse_error(answer, name)
        return answer

    def _ended(self, program: Program, said: Said, until_s: float) -> Said:
        """The process of one request has said its line, and ends; what it left running goes on until the run ends."""
        code = program.wait(until_s)
        if code is None:
            return Said(
                problem="timed out: it printed its line and did not end (persistent: true is for one that stays)"
            )
        if code != 0:
            return Said(problem=how_it_ended(code))
        program.forget()
        self._program = None
        return said


def _advice(problem: str, op: str, timeout_s: float) -> str:
    if not problem.startswith("timed out"):
        return "." if ONE_LINE in problem else "; run it by hand with a request on its stdin."
    setting = "start_timeout_s" if op == "start" else "command_timeout_s"
    return (
        f" within {setting} ({timeout_s:g} s). It is too slow or it hangs: profile the script, "
        f"and raise {setting} only if the slowness is intrinsic."
    )


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode() + b"\n"
