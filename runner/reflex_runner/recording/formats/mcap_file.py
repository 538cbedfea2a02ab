"""MCAP, which Foxglove and Rerun open as it is: pictures, joints as labelled series, the guard and events as a log.

Chunks are small, so that a killed process costs about a second; `reflex datasets repair` makes the rest whole.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcap.writer import CompressionType, Writer

from reflex.connector import Observation
from reflex_runner.recording.formats.files import begin_file, episode_name, seal, text_of
from reflex_runner.recording.formats.images import safe_name
from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Run
from reflex_runner.recording.formats.mcap_schemas import CHUNK, IMAGE, JOINTS, LOG, Schema
from reflex_runner.recording.lines import FloatArray, chunk_line, held_to, numbers
from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["CHUNK_BYTES", "LIBRARY", "Mcap"]

CHUNK_BYTES: Final = 16 * 1024
LIBRARY: Final = "reflex"
NANOSECONDS: Final = 1_000_000_000
LEVELS: Final[Mapping[str, int]] = {"info": 2, "warning": 3, "error": 4}
"""Foxglove's numbers; 1 is debug and 5 fatal."""


class Mcap:
    """The format `mcap`: a file for each episode."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def begin(self, episode: EpisodeStart) -> EpisodeWriter:
        return _McapEpisode(self._run, episode)

    def close(self) -> None:
        """Nothing is open between episodes."""


class _McapEpisode(EpisodeWriter):
    def __init__(self, run: Run, episode: EpisodeStart) -> None:
        self._run, self._episode, self._moments = run, episode, run.moments
        self._embodiment = run.facts.embodiment
        self._path = run.folder / "mcap" / f"{episode_name(episode.number)}.mcap"
        self._file = begin_file(self._path)
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def start(self) -> None:
        self._writer.start(profile="", library=LIBRARY)
        told = {**self._run.header, "episode": self._episode.number, "instruction": self._episode.instruction}
        self._writer.add_metadata("reflex.recording", text_of(told))

    def pictured(self, camera: str, picture: Picture) -> None:
        if picture.encoded is None:
            return
        topic = f"/observation/images/{_topic(camera)}"
        head = {"frame_id": camera, "format": picture.format}
        self._add(topic, IMAGE, picture.captured_s, head, base64.b64encode(picture.encoded))

    def observed(self, seq: int, observation: Observation) -> None:
        joints = _joints(self._embodiment.state_names, observation.state)
        self._add("/observation/state", JOINTS, observation.captured_s, {"seq": seq, "joints": joints})

    def answered(self, chunk: DatedChunk) -> None:
        self._add("/policy/chunk", CHUNK, chunk.captured_s, chunk_line(chunk, self._moments))

    def ticked(self, tick: Tick) -> None:
        names = self._embodiment.action_names
        for topic, values in (("/action/state", tick.command), ("/action/wanted", tick.wanted)):
            if values is not None:
                told = {"step": tick.step, "did": tick.kind, "applied": tick.applied}
                self._add(topic, JOINTS, tick.at_s, told | {"joints": _joints(names, values)})
        if tick.measured is not None:
            joints = _joints(self._embodiment.state_names, tick.measured)
            self._add("/measured/state", JOINTS, tick.at_s, {"step": tick.step, "joints": joints})
        for broken in tick.violations:
            self._log(tick.at_s, "warning", "guard", held_to(broken))

    def noted(self, event: Event) -> None:
        self._log(event.at_s, event.level, event.code, event.message)

    def flush(self) -> None:
        self._file.flush()

    def finish(self, end: EpisodeEnd) -> None:
        success = "unknown" if end.success is None else json.dumps(end.success)
        ended = {"reason": end.reason, "success": success, "dropped": json.dumps(dict(end.dropped))}
        self._writer.add_metadata("reflex.episode", ended)
        self._writer.finish()
        self._file.close()
        seal(self._path)

    def abandon(self) -> None:
        self._file.close()

    def _log(self, at_s: float, level: str, name: str, message: str) -> None:
        self._add("/log", LOG, at_s, {"level": LEVELS[level], "name": name, "message": message, "file": "", "line": 0})

    def _add(
        self, topic: str, schema: Schema, at_s: float, message: Mapping[str, Any], data: bytes | None = None
    ) -> None:
        """`data` becomes a field of that name as it is: a picture is not looked through for what JSON escapes."""
        at_ns = self._moments.unix_ns(at_s)
        stamp = {"sec": at_ns // NANOSECONDS, "nsec": at_ns % NANOSECONDS}
        text = json.dumps({"timestamp": stamp, **message}, separators=(",", ":"), default=str).encode()
        whole = text if data is None else b"".join((text[:-1], b',"data":"', data, b'"}'))
        self._writer.add_message(self._channel(topic, schema), at_ns, whole, at_ns)

    def _channel(self, topic: str, schema: Schema) -> int:
        if topic not in self._channels:
            if schema.name not in self._schemas:
                text = json.dumps(schema.schema).encode()
                self._schemas[schema.name] = self._writer.register_schema(schema.name, "jsonschema", text)
            self._channels[topic] = self._writer.register_channel(topic, "json", self._schemas[schema.name])
        return self._channels[topic]


def _topic(camera: str) -> str:
    """Foxglove splits a topic at its dots."""
    return safe_name(camera).replace(".", "_")


def _joints(names: Sequence[str], values: FloatArray) -> list[dict[str, Any]]:
    """A field called `label` names the series by itself."""
    return [{"label": name, "value": value} for name, value in zip(names, numbers(values), strict=False)]
