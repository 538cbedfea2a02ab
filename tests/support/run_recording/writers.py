"""Who writes a recording in tests: a thread of this process, where what it calls can be replaced."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from reflex_runner.recording.writer import GONE, Writer
from reflex_runner.recording.writing import News, write_recording

__all__ = ["start_thread"]


class _WriterThread:
    def __init__(self, line: socket.socket, hear: Callable[[News], None]) -> None:
        self._line, self._hear = line, hear
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _write(self) -> None:
        with self._line:
            write_recording(self._line, self._hear)
        self._hear({GONE: "it ended"})


def start_thread(line: socket.socket, _lock: int, _path: Path, hear: Callable[[News], None]) -> Writer:
    """As `start_process`."""
    return _WriterThread(line, hear)
