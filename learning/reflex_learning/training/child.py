"""One child of ours, in a session of its own: its words and its data as they come, and an end that leaves nothing."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.processes.family import Family
from reflex.processes.guardian import KILL_S, MARK, end_all
from reflex_learning.errors import TrainingError

__all__ = ["TERM_S", "Child", "Outlets"]

TERM_S: Final = 2.0
"""Between SIGTERM, at which LeRobot ends at once, and SIGKILL: the end of a run takes five seconds at most."""
PIECE_BYTES: Final = 1 << 16
DESCRIPTOR: Final = "{descriptor}"
"""Stands in the arguments for the descriptor of the data."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Who gets what the child says, in a thread of their own."""

    words: Callable[[bytes], None]
    data: Callable[[bytes], None]


class Child:
    """Started when it is made. `words` is its stderr; `data` its stdout, or a pipe that its arguments name."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, family: Family, outlets: Outlets
    ) -> None:
        mark = family.next_mark()
        self._mark = mark
        self._family = family
        self._code: int | None = None
        words, said = os.pipe()
        data, told = os.pipe()
        names_pipe = DESCRIPTOR in argv
        try:
            self._process = subprocess.Popen(  # noqa: S603  # the trainer, or our own export
                [each.replace(DESCRIPTOR, str(told)) for each in argv], cwd=folder, env={**environment, MARK: mark},
                stdin=subprocess.DEVNULL, stdout=said if names_pipe else told, stderr=said,
                pass_fds=(told,) if names_pipe else (), start_new_session=True,
            )  # fmt: skip
        except OSError as exc:
            _close(words, data)
            raise TrainingError(f"{argv[0]} cannot be started: {exc.strerror}; see `reflex training setup`") from exc
        finally:
            _close(said, told)
        self._reader = threading.Thread(
            target=_read, args=({words: outlets.words, data: outlets.data},), name="reflex-child", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The exit code once it has ended and nothing of it is left; None while it goes on."""
        if self._code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                self._end(0.0)
        return self._code

    def end(self) -> None:
        """Nothing of it is left."""
        if self._code is None:
            self._end(TERM_S)

    def _end(self, grace_s: float) -> None:
        end_all(self._mark, frozenset({self._process.pid}), grace_s)
        self._code = self._process.wait()
        self._reader.join(KILL_S)


def _read(outlets: Mapping[int, Callable[[bytes], None]]) -> None:
    """Until nobody holds the other ends any more."""
    with selectors.DefaultSelector() as selector:
        for descriptor, outlet in outlets.items():
            selector.register(descriptor, selectors.EVENT_READ, outlet)
        while selector.get_map():
            for key, _ in selector.select():
                piece = os.read(key.fd, PIECE_BYTES)
                key.data(piece)
                if not piece:
                    selector.unregister(key.fd)
                    os.close(key.fd)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
