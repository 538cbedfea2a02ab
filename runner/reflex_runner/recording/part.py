"""One folder of a run's recording: its header, its lock, and the process that writes into it."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

from reflex.durable_files import replace_file
from reflex.errors import SetupError
from reflex.file_lock import file_lock
from reflex_runner.recording.formats.files import private_folder
from reflex_runner.recording.formats.interface import Run
from reflex_runner.recording.lines import to_line
from reflex_runner.recording.messages import send
from reflex_runner.recording.sending import Sender
from reflex_runner.recording.waiting_line import Marker, WaitingLine
from reflex_runner.recording.writer import GONE, StartWriter, Writer, start_process
from reflex_runner.recording.writing import BEGIN, News

__all__ = ["HEADER_FILE", "LOCK_FILE", "Part", "PartSettings"]

HEADER_FILE: Final = "recording.json"
LOCK_FILE: Final = ".recording.lock"
OWNER_FILE: Final = 0o600
MEGABYTE: Final = 1_000_000
START_S: Final = 60.0
"""To load what the formats need takes a second on an idle machine."""

GIVE_UP_S: Final = 5.0

log = logging.getLogger("reflex.recording")


@dataclasses.dataclass(frozen=True, slots=True)
class PartSettings:
    """The same for every part of a recording."""

    formats: tuple[str, ...]
    keep_free_bytes: int
    now: Callable[[], float]


class Part:
    """From `start` on what waits in the line is written here; `on_death` is told how the writer died, if it does."""

    def __init__(self, run: Run, settings: PartSettings, waiting: WaitingLine, on_death: Callable[[str], None]) -> None:
        self.folder = run.folder
        self.lost: Mapping[str, int] = {}
        """What was sent and could not be written, by kind."""
        self.problems: Mapping[str, str] = {}
        self._run, self._settings, self._waiting, self._on_death = run, settings, waiting, on_death
        self._held = ExitStack()
        self._sender: Sender | None = None
        self._writer: Writer | None = None
        self._answered = threading.Event()
        self._is_ready = self._is_done = False
        self._refusal = "the process that writes did not start in time"

    def start(self, wanted: Marker | None, start_writer: StartWriter | None = None) -> None:
        """Begin; `SetupError` when the folder cannot be made, a package is missing or the disk is full."""
        try:
            lock = self._make_folder()
        except OSError as exc:
            raise SetupError(
                f"recording.dir: {self.folder} cannot be made ({exc.strerror}); "
                "name a folder that this user may write, or record nothing"
            ) from exc
        line = self._start_writer(lock, start_writer or start_process)
        send(line, self._words(wanted))
        if not (self._answered.wait(START_S) and self._is_ready):
            line.close()
            self._held.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise SetupError(self._refusal)
        self._sender = Sender(self._waiting, line, self._settings.now, wanted)
        self._sender.start()

    @property
    def marked(self) -> Marker | None:
        """The newest marker that was sent, or what was wanted at the beginning."""
        return None if self._sender is None else self._sender.marked

    def end(self) -> None:
        """Send what waits, and have it written."""
        if self._sender is not None:
            self._sender.end()

    def wait(self, timeout_s: float) -> bool:
        """Whether everything is written by then, or cannot be any more."""
        until_s = time.monotonic() + timeout_s
        for each in (self._sender, self._writer):
            if each is not None and not each.wait(max(0.0, until_s - time.monotonic())):
                return False
        self._held.close()
        return True

    def _start_writer(self, lock: int, start_writer: StartWriter) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._writer = start_writer(theirs, lock, self.folder / LOCK_FILE, self._hear)
        return ours

    def _make_folder(self) -> int:
        """The descriptor of its lock."""
        private_folder(self.folder)
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < self._settings.keep_free_bytes:
            self.folder.rmdir()
            raise SetupError(
                f"recording.dir: {free_bytes / MEGABYTE:,.0f} MB are free at {self.folder.parent}, and "
                f"{self._settings.keep_free_bytes / MEGABYTE:,.0f} MB must stay so; "
                "make room, name another folder, or record nothing"
            )
        lock = self._held.enter_context(file_lock(self.folder / LOCK_FILE, "a run that records", is_removed=True))
        replace_file(self.folder / HEADER_FILE, to_line(self._run.header))
        (self.folder / HEADER_FILE).chmod(OWNER_FILE)
        return lock

    def _words(self, wanted: Marker | None) -> dict[str, Any]:
        return {
            "kind": BEGIN, "folder": str(self.folder.absolute()), "facts": dataclasses.asdict(self._run.facts),
            "moments": dataclasses.asdict(self._run.moments), "header": self._run.header,
            "formats": self._settings.formats, "keep_free_bytes": self._settings.keep_free_bytes,
            "wanted": None if wanted is None else dataclasses.asdict(wanted),
        }  # fmt: skip

    def _hear(self, news: News) -> None:
        """On the thread that listens."""
        if "log" in news:
            log.log(*news["log"])
        elif "lost" in news:
            self.lost, self.problems = news["lost"], news["problems"]
        elif "done" in news:
            self._is_done = True
        else:
            self._is_ready = self._is_ready or "ready" in news
            self._refusal = news.get("failed", self._refusal)
            self._answered.set()
        if GONE in news and self._sender is not None and not self._is_done:
            self._died(self._sender, news[GONE])

    def _died(self, sender: Sender, how: str) -> None:
        sender.give_up()
        sender.wait(GIVE_UP_S)
        self._held.close()  # what it left may be repaired now
        self._on_death(how)
