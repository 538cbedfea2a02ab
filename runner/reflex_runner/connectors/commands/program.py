"""One running command: a line in, a line out, within a deadline, and an end from which nothing comes back."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.processes.family import Family
from reflex.processes.guardian import end_all
from reflex_runner.connectors.commands.words import Words

__all__ = ["MAX_LINE_BYTES", "Program", "Said"]

MAX_LINE_BYTES: Final = 32 << 20
"""Room for several cameras' pixels; what is longer is no answer."""
PIECE_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one request: a line, or what kept it from coming (`timed out: ...`, `ended ...`)."""

    line: bytes = b""
    problem: str = ""


class Program:
    """A process in a session of its own. One request at a time; `end` may come from another thread meanwhile."""

    def __init__(self, argv: Sequence[str], cwd: Path, family: Family, name: str) -> None:
        self._family = family
        self.mark = family.next_mark()
        self._process = subprocess.Popen(  # noqa: S603  # what robot.yaml names is meant to run
            argv, cwd=cwd, env=family.environment(self.mark), bufsize=0, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stderr is not None  # noqa: S101  # told to mypy
        self._words = Words(os.dup(self._process.stderr.fileno()), name)
        self._process.stderr.close()
        self._ending = threading.Lock()
        self._has_ended = False
        for pipe in (self._process.stdin, self._process.stdout):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]  # both were asked for

    def ask(self, request: bytes, until_s: float) -> Said:
        """Send the line, and wait for one until that moment of the monotonic clock."""
        return _Exchange(self._process, request, until_s).run()

    def wait(self, until_s: float) -> int | None:
        """Close its stdin and wait for its end: the exit code, None when it goes on."""
        self._close_stdin()
        return _exit_code(self._process, until_s)

    def end(self, eof_s: float, term_s: float) -> str:
        """Nothing of it is left. Its last words.

        After its stdin was closed it has `eof_s` to end by itself, then SIGTERM and `term_s`, then SIGKILL.
        """
        with self._ending:
            if not self._has_ended:
                self.wait(time.monotonic() + eof_s)
                end_all(self.mark, frozenset({self._process.pid}), term_s)
                self._process.wait()
            return self.forget()

    def kill(self) -> None:
        """SIGKILL to its session, at once: whoever waits for a line of it learns that it has ended."""
        with self._ending:
            if not self._has_ended:
                end_all(self.mark, frozenset({self._process.pid}), grace_s=0.0)

    def forget(self) -> str:
        """Close our ends of its pipes; what it left running goes on. Its last words."""
        self._has_ended = True
        self._family.remember(self._process.pid)
        self._close_stdin()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._words.end()

    def _close_stdin(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


class _Exchange:
    """One request and its answer, with every wait bounded."""

    def __init__(self, process: subprocess.Popen[bytes], request: bytes, until_s: float) -> None:
        self._process = process
        self._unsent = memoryview(request)
        self._until_s = until_s
        self._got = bytearray()
        self._said: Said | None = None

    def run(self) -> Said:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdin, selectors.EVENT_WRITE, self._send)  # type: ignore[arg-type]
            selector.register(self._process.stdout, selectors.EVENT_READ, self._receive)  # type: ignore[arg-type]
            while self._said is None:
                left_s = self._until_s - time.monotonic()
                if left_s <= 0:
                    return Said(problem=self._late())
                for key, _ in selector.select(left_s):
                    if key.data() is False:
                        selector.unregister(key.fileobj)
            return self._said

    def _send(self) -> bool:
        """Whether there is more to send. A command that does not read its stdin may still answer."""
        assert self._process.stdin is not None  # noqa: S101
        try:
            sent = os.write(self._process.stdin.fileno(), self._unsent[:PIECE_BYTES])
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        self._unsent = self._unsent[sent:]
        return bool(self._unsent)

    def _receive(self) -> bool:
        assert self._process.stdout is not None  # noqa: S101
        seen = len(self._got)
        piece = os.read(self._process.stdout.fileno(), PIECE_BYTES)
        self._got += piece
        end = self._got.find(b"\n", seen)
        if end >= 0:
            self._said = _whole(bytes(self._got[:end]), bytes(self._got[end + 1 :]))
        elif len(self._got) > MAX_LINE_BYTES:
            self._said = Said(problem=f"printed {MAX_LINE_BYTES >> 20} MiB without the end of a line; {ONE_LINE}")
        elif not piece:
            self._said = Said(problem=self._ended())
        return bool(piece)

    def _ended(self) -> str:
        part = f" in the middle of a line of {len(self._got):,} bytes" if self._got else " before it printed a line"
        code = _exit_code(self._process, self._until_s)
        return f"closed its stdout{part}, and went on" if code is None else f"{how_it_ended(code)}{part}"

    def _late(self) -> str:
        return f"timed out: no whole line, {len(self._got):,} bytes" if self._got else "timed out: no JSON line"


ONE_LINE: Final = "print one line of JSON for each request, and everything else on stderr"


def _whole(line: bytes, beyond: bytes) -> Said:
    if beyond.strip():
        return Said(problem=f"printed more than one line for one request; {ONE_LINE}")
    return Said(line)


def _exit_code(process: subprocess.Popen[bytes], until_s: float) -> int | None:
    """Once it ends; None at that moment. Python's own wait looks only every 50 ms."""
    if hasattr(os, "pidfd_open") and process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll(1_000 * max(0.0, until_s - time.monotonic()))
        finally:
            os.close(descriptor)
    try:
        return process.wait(max(0.0, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def how_it_ended(code: int) -> str:
    """`ended with exit code 3`, `was ended by SIGKILL`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
