"""Records a run without making it wait: the threads of the run put references into a queue, another process writes.

A full or slow disk, a damaged picture, a format that fails, a writer that dies: each costs the recording, never a
command. After kill -9 of the run the writer finishes the open episode; of one that was killed itself there is what
`reflex datasets repair` finds whole.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from reflex.connector import CameraFrame, Observation
from reflex.errors import SetupError
from reflex_runner.recording.episodes import UNMARKED
from reflex_runner.recording.facts import RunFacts, header_of
from reflex_runner.recording.formats.choosing import chosen
from reflex_runner.recording.formats.interface import Run
from reflex_runner.recording.moments import measure_moments
from reflex_runner.recording.part import HEADER_FILE, LOCK_FILE, MEGABYTE, Part, PartSettings
from reflex_runner.recording.pictures import Picture
from reflex_runner.recording.waiting_line import DEFAULT_LIMITS, Entry, Limits, Marker, Observed, WaitingLine
from reflex_runner.recording.writer import StartWriter
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["HEADER_FILE", "LOCK_FILE", "Recorder", "run_folder"]

KEEP_FREE_BYTES: Final = 500 * MEGABYTE
PICTURES_KNOWN: Final = 15
"""Times of the newest pictures of a camera, by which one that comes again is known."""
CLOSE_S: Final = 60.0
SAY_EVERY_S: Final = 2.0
MOST_WRITERS: Final = 3
"""One that dies is replaced so often; more would die as well."""

log = logging.getLogger("reflex.recording")
Frames = Callable[[], Mapping[str, CameraFrame]]


def run_folder(parent: Path, embodiment: str, unix_s: float) -> Path:
    """A name in `parent` for the recording of one run, like `2026-11-27T22-18-07Z_so101_3fa9c2`."""
    began = dt.datetime.fromtimestamp(unix_s, dt.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    return parent / f"{began}_{embodiment}_{secrets.token_hex(3)}"


class Recorder:
    """A `Listener` of one run. `parent` is where recordings lie; each run gets a folder of its own in it.

    `frames` gives the newest picture of each camera, by reference; the recorder asks for them at every tick, so that
    pictures are recorded at the rate of the control loop, and not at that of the policy. With `marked_episodes` only
    what lies between `begin_episode` and `end_episode` is recorded; without, what came before the first is, too.
    `say` is told how much is left when writing it takes longer than the run. `start_writer` is for tests.
    """

    def __init__(
        self,
        parent: Path,
        facts: RunFacts,
        formats: Sequence[str] = ("jsonl",),
        *,
        frames: Frames | None = None,
        marked_episodes: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        keep_free_bytes: int = KEEP_FREE_BYTES,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        say: Callable[[str], None] = log.warning,
        start_writer: StartWriter | None = None,
    ) -> None:
        self._moments = measure_moments(now, wall)
        self._parent = parent
        self._facts = facts
        self._frames = frames
        self._settings = PartSettings(chosen(formats), keep_free_bytes, now)
        self._wanted = None if marked_episodes else UNMARKED
        self._now = now
        self._say = say
        self._start_writer = start_writer
        self._line = WaitingLine(limits)
        self._seen: dict[str, tuple[float, ...]] = {}
        self._is_closing = False
        self._has_no_writer = ""
        self.folder = self._new_folder()
        """Where the recording begins."""
        self._parts: list[Part] = []

    @property
    def folders(self) -> tuple[Path, ...]:
        """All that were begun: a writer that died is followed by another, in a folder of its own."""
        return tuple(part.folder for part in self._parts)

    @property
    def dropped(self) -> Mapping[str, int]:
        """What happened and was not recorded, by kind."""
        lost = sum((Counter(part.lost) for part in self._parts), Counter[str]())
        return dict(Counter(dict(self._line.dropped)) + lost)

    @property
    def problems(self) -> Mapping[str, str]:
        """By format, what keeps it from recording; `disk` when that is full, `writer` when there is none any more."""
        writer = {"writer": self._has_no_writer} if self._has_no_writer else {}
        return {**(self._parts[-1].problems if self._parts else {}), **writer}

    def start(self) -> None:
        """Make the folder and begin; `SetupError` when it cannot be made, a package is missing or the disk is full."""
        part = self._new_part(self.folder)
        part.start(self._wanted, self._start_writer)
        self._parts.append(part)

    def begin_episode(self, instruction: str | None = None) -> None:
        """What happens from now on is a new episode; the instruction is that of the run when none is given."""
        self._line.put(Entry(Marker(self._now(), begins=True, instruction=instruction)))

    def end_episode(self, *, success: bool | None = None) -> None:
        """The episode is over; what happens until the next one begins is not recorded."""
        self._line.put(Entry(Marker(self._now(), begins=False, success=success)))

    def observed(self, seq: int, observation: Observation) -> None:
        """An observation was sent to the policy."""
        self._line.put(Entry(Observed(seq, observation), self._new_pictures(observation.cameras)))

    def answered(self, chunk: DatedChunk) -> None:
        """The policy answered."""
        self._line.put(Entry(chunk))

    def ticked(self, tick: Tick) -> None:
        """A period of the control loop is over."""
        self._line.put(Entry(tick, {} if self._frames is None else self._new_pictures(self._frames())))

    def noted(self, event: Event) -> None:
        """Something happened that is worth a line."""
        self._line.put(Entry(event))

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Write what waits and end the episode; False when nothing more was written for so long, and it is given up."""
        self._is_closing = True
        waiting, until_s = len(self._line), time.monotonic() + timeout_s
        while not self._is_ended(until_s):
            if len(self._line) < waiting:
                waiting, until_s = len(self._line), time.monotonic() + timeout_s
            elif time.monotonic() >= until_s:
                return False
            self._say(f"the recording is being written to its end: {len(self._line)} entries wait")
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.close():
            log.error("nothing more of the recording was written for %g s; run: reflex datasets repair", CLOSE_S)

    def _new_pictures(self, frames: Mapping[str, CameraFrame]) -> dict[str, Picture]:
        """A camera that is slower than the loop gives the same picture again, which is recorded once."""
        new = {name: frame for name, frame in frames.items() if frame.captured_s not in self._seen.get(name, ())}
        for name, frame in new.items():
            self._seen[name] = (*self._seen.get(name, ())[-PICTURES_KNOWN:], frame.captured_s)
        return {name: Picture(frame) for name, frame in new.items()}

    def _is_ended(self, until_s: float) -> bool:
        """Look for a while. While this waits, a writer that dies may be followed by another."""
        ending_s = min(until_s, time.monotonic() + SAY_EVERY_S)
        ended = 0
        while ended < len(self._parts):
            part = self._parts[ended]
            part.end()
            if not part.wait(max(0.0, ending_s - time.monotonic())):
                return False
            ended += 1
        return True

    def _new_folder(self) -> Path:
        return run_folder(self._parent, self._facts.embodiment.name, self._moments.unix_s(self._now()))

    def _new_part(self, folder: Path) -> Part:
        header = header_of(self._facts, self._moments, self._now())
        run = Run(folder, self._facts, self._moments, header)
        return Part(run, self._settings, self._line, self._go_on_without)

    def _go_on_without(self, how: str) -> None:
        """The writer has died: another goes on, in a folder of its own, while the run drives its robot."""
        left = self._parts[-1]
        died = f"the process that writes the recording has died ({how}); what it left is in {left.folder}"
        log.error("%s; run: reflex datasets repair; the robot goes on", died)
        if self._is_closing or len(self._parts) >= MOST_WRITERS:
            self._write_no_more(how)
            return
        self.noted(Event(self._now(), "error", "recording_continued", died))
        try:
            part = self._new_part(self._new_folder())
            part.start(_going_on(left.marked), self._start_writer)
        except (SetupError, OSError) as exc:
            log.error("nothing is recorded any more: %s", exc)
            self._write_no_more(how)
        else:
            self._parts.append(part)

    def _write_no_more(self, how: str) -> None:
        self._has_no_writer = how
        self._line.shut()


def _going_on(marked: Marker | None) -> Marker | None:
    """An episode that was open goes on as another, with the next thing that happens."""
    return replace(marked, at_s=None) if marked is not None and marked.begins else None
