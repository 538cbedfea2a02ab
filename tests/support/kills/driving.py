"""A real `reflex connect` as a process: its words with their moments, and how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from support.waiting import HANGS_S, wait_until

__all__ = ["TESTS", "Driving", "driving"]

TESTS: Final = Path(__file__).parents[2]
SHIFTED: Final = Path(__file__).parent / "shifted"


class Driving:
    """`words` are the lines on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.words: list[tuple[float, str]] = []
        self._told: list[str] = []
        self.ended_s = float("inf")
        self._threads = [
            threading.Thread(target=self._hear, args=[process.stderr, self.words], daemon=True),
            threading.Thread(target=self._hear, args=[process.stdout, None], daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _hear(self, stream: IO[str], words: list[tuple[float, str]] | None) -> None:
        for line in stream:
            if words is None:
                self._told.append(line)
            else:
                words.append((time.monotonic(), line.rstrip()))

    def wait(self) -> dict[str, Any]:
        """How it ended, as it told itself."""
        self.process.wait(HANGS_S)
        self.ended_s = time.monotonic()
        for thread in self._threads:
            thread.join(HANGS_S)
        told: dict[str, Any] = json.loads("".join(self._told) or "{}")
        return told | {"exit": self.process.returncode}

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def said_s(self, what: str) -> float:
        """When it first said so; infinity: never."""
        return min((at for at, line in list(self.words) if what in line), default=float("inf"))

    @property
    def last_words(self) -> str:
        return "\n".join(line for _, line in self.words[-8:])


@contextmanager
def driving(folder: Path, settings: Mapping[str, Any], *options: str, **environment: str) -> Iterator[Driving]:
    """`reflex connect` of these settings; killed at the end if it still runs."""
    path = folder / "robot.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")
    given = {key: value for key, value in os.environ.items() if key != "REFLEX_NO_RECORD"}
    given |= {"PYTHONPATH": os.pathsep.join([str(SHIFTED), str(TESTS)]), "SHIFTED_CLOCK": str(folder / "clock")}
    command = [sys.executable, "-m", "reflex.cli", "connect", "--config", str(path), "--json", *options]
    with subprocess.Popen(
        command, env=given | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        run = Driving(process)
        try:
            yield run
        finally:
            process.kill()
            process.wait(HANGS_S)
            wait_until(lambda: not any(thread.is_alive() for thread in run._threads), "its words are heard")
