"""JSON lines: everything in numbers and words, readable by anything; each line is handed over at once.

The first line is the recording's header, the last one says how the episode ended. A killed process loses a line.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from reflex.connector import Observation
from reflex_runner.recording.formats.files import begin_file, episode_name, seal
from reflex_runner.recording.formats.images import picture_file
from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Run
from reflex_runner.recording.lines import chunk_line, event_line, observation_line, tick_line, to_line
from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["Jsonl", "end_line"]

PICTURES_KEPT: Final = 256
"""Names of the newest pictures: an observation may show one that a tick has brought before."""


class Jsonl:
    """The format `jsonl`. The pictures that it names are those of the format `images`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def begin(self, episode: EpisodeStart) -> EpisodeWriter:
        return _JsonlEpisode(self._run, episode)

    def close(self) -> None:
        """Nothing is open between episodes."""


def end_line(end: EpisodeEnd, unix_s: float) -> dict[str, Any]:
    """How an episode ended, at that Unix time."""
    told = dataclasses.asdict(end)
    del told["at_s"]
    return {"kind": "end", "t": unix_s, **told}


class _JsonlEpisode(EpisodeWriter):
    def __init__(self, run: Run, episode: EpisodeStart) -> None:
        self._run, self._episode, self._moments = run, episode, run.moments
        self._path = run.folder / "jsonl" / f"{episode_name(episode.number)}.jsonl"
        self._file = begin_file(self._path)
        self._pictures: dict[tuple[str, float], str] = {}

    def start(self) -> None:
        episode = self._episode
        self._add({**self._run.header, "pictures_in": f"images/{episode_name(episode.number)}"})
        began = {"kind": "begin", "t": self._moments.unix_s(episode.at_s), "episode": episode.number}
        self._add({**began, "instruction": episode.instruction})

    def pictured(self, camera: str, picture: Picture) -> None:
        if picture.encoded is not None:
            self._pictures[camera, picture.captured_s] = picture_file(camera, picture, self._moments)
        while len(self._pictures) > PICTURES_KEPT:
            del self._pictures[next(iter(self._pictures))]

    def observed(self, seq: int, observation: Observation) -> None:
        files = {name: self._pictures.get((name, frame.captured_s)) for name, frame in observation.cameras.items()}
        shown = {name: file for name, file in files.items() if file is not None}
        self._add(observation_line(seq, observation, shown, self._moments))

    def answered(self, chunk: DatedChunk) -> None:
        self._add(chunk_line(chunk, self._moments))

    def ticked(self, tick: Tick) -> None:
        self._add(tick_line(tick, self._moments))

    def noted(self, event: Event) -> None:
        self._add(event_line(event, self._moments))

    def finish(self, end: EpisodeEnd) -> None:
        self._add(end_line(end, self._moments.unix_s(end.at_s)))
        self._file.close()
        seal(self._path)

    def abandon(self) -> None:
        self._file.close()

    def _add(self, line: dict[str, Any]) -> None:
        self._file.write(to_line(line))
        self._file.flush()  # what is killed after this loses nothing of the line
