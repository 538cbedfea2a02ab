"""The run's end of the process that writes its recording: how it is started, and what is heard of it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from reflex_runner.recording import writer_process
from reflex_runner.recording.writing import News

__all__ = ["StartWriter", "Writer", "WriterProcess", "start_process"]

GONE: Final = "gone"
"""In the last news: how it ended."""


class Writer(Protocol):
    """Whoever writes."""

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended by then, and all its news has been heard."""
        ...


StartWriter = Callable[[socket.socket, int, Path, Callable[[News], None]], Writer]
"""Its end of the line, the descriptor and the path of the lock, and who hears its news."""


class WriterProcess:
    """A process in a session of its own: Ctrl-C at the terminal is for the run, which then tells it to end."""

    def __init__(self, line: socket.socket, lock: int, path: Path, hear: Callable[[News], None]) -> None:
        arguments = [str(line.fileno()), str(lock), str(path)]
        self._process = subprocess.Popen(  # noqa: S603  # this Python, and a module of ours
            [sys.executable, "-P", "-m", writer_process.__name__, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, pass_fds=[line.fileno(), lock],
        )  # fmt: skip
        self._hear = hear
        self._thread = threading.Thread(target=self._listen, name="recorder-news", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended by then, and all its news has been heard."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        with self._process as process:
            for line in process.stdout or ():
                news = _news_in(line)
                if news is not None:
                    self._hear(news)
        self._hear({GONE: _how(process.returncode)})


def start_process(line: socket.socket, lock: int, path: Path, hear: Callable[[News], None]) -> Writer:
    """The process, which takes the line over."""
    with line:
        return WriterProcess(line, lock, path, hear)


def _news_in(line: bytes) -> News | None:
    with suppress(ValueError):
        news: Any = json.loads(line)
        return news if isinstance(news, dict) else None
    return None


def _how(code: int) -> str:
    if code >= 0:
        return f"it ended with {code}"
    with suppress(ValueError):
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it was killed by signal {-code}"
