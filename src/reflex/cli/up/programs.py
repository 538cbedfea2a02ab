"""Programs that run together: what they say comes out line by line, and when one ends all of them do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from reflex.console import say
from reflex.errors import SetupError

__all__ = ["Programs", "is_well", "reflex_command", "saying_whole_lines", "together"]

NAME_WIDTH: Final = 7
LOOK_EVERY_S: Final = 0.1
ASK_S: Final = 2.0
END_S: Final = 20.0
"""A server drains for at most 10 s."""
STOPPED_BY: Final = (signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


def reflex_command(*arguments: str) -> list[str]:
    """`reflex` with these arguments, in this Python, bound to this process."""
    return [sys.executable, "-m", "reflex.cli.up.bound", str(os.getpid()), *arguments]


def saying_whole_lines() -> Say:
    """For lines of several threads, each whole."""
    lock = threading.Lock()

    def say_whole(line: str) -> None:
        with lock:
            say(line)

    return say_whole


def is_well(url: str) -> bool:
    """Whether the server there answers, and is ready."""
    import httpx

    try:
        answer = httpx.get(f"{url}/health", timeout=ASK_S, trust_env=False, verify=False)  # noqa: S501 - no https
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK


@dataclass
class Programs:
    """For one thread. Each program is in a session of its own: Ctrl-C is this process' to pass on, in its order."""

    say: Say
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _readers: list[threading.Thread] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """With this process' environment, and these variables."""
        process = subprocess.Popen(  # noqa: S603 - the callers' own words
            command, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._running[name] = process
        # A program may leave one of its own behind, which holds its output open: nobody waits for that for ever.
        reader = threading.Thread(target=self._read, args=(name, process), name=f"log of {name}", daemon=True)
        reader.start()
        self._readers.append(reader)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Until it is so; `SetupError` when one of them ends before."""
        while not is_so():
            self._look()
            time.sleep(LOOK_EVERY_S)

    def watch(self) -> None:
        """For ever; `SetupError` when one of them ends."""
        self.wait_for(lambda: False)

    def outlast(self, name: str) -> int:
        """Until that one has ended, with this code; `SetupError` when another one ends before."""
        process = self._running[name]
        while process.poll() is None:
            self._look(but=name)
            time.sleep(LOOK_EVERY_S)
        return process.wait()

    def end(self) -> None:
        """The last one first, each given time to drain."""
        for process in reversed(self._running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in self._readers:
            reader.join(END_S)

    def kill(self) -> None:
        """At once."""
        for process in self._running.values():
            process.kill()

    def _look(self, *, but: str | None = None) -> None:
        for name, process in self._running.items():
            code = process.poll()
            if code is not None and name != but:
                raise SetupError(_how_it_ended(name, code))

    def _read(self, name: str, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None:
            for line in process.stdout:
                with contextlib.suppress(OSError, ValueError):  # whoever read it is gone; the program must not wait
                    self.say(f"{name:<{NAME_WIDTH}} | {line.decode(errors='replace').rstrip()}")
            process.stdout.close()


@contextlib.contextmanager
def together(say: Say) -> Iterator[Programs]:
    """Programs that are ended when this ends: in order, or at once at a second Ctrl-C."""
    programs = Programs(say)
    with _interrupted_by(STOPPED_BY):
        try:
            yield programs
        finally:
            try:
                programs.end()
            except KeyboardInterrupt:
                programs.kill()
                programs.end()


@contextlib.contextmanager
def _interrupted_by(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """These signals do what Ctrl-C does, but for one that was to be ignored (nohup)."""
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _how_it_ended(name: str, code: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"the {name} {how}; its last lines above say why. All that was started is ended"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
