"""Rerun's `.rrd`: pictures, and series named by their joints. The package weighs 500 MB: nothing else imports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import rerun

from reflex.connector import Observation
from reflex_runner.recording.formats.files import episode_name, open_name, private_folder, seal, text_of
from reflex_runner.recording.formats.images import safe_name
from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Run
from reflex_runner.recording.lines import FloatArray, held_to
from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import Event, Tick

__all__ = ["Rerun"]

APPLICATION: Final = "reflex"
TIME: Final = "log_time"
LEVELS: Final = {"info": "INFO", "warning": "WARN", "error": "ERROR"}


class Rerun:
    """The format `rerun`: a file for each episode."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def begin(self, episode: EpisodeStart) -> EpisodeWriter:
        return _RerunEpisode(self._run, episode)

    def close(self) -> None:
        """Nothing is open between episodes."""


class _RerunEpisode(EpisodeWriter):
    def __init__(self, run: Run, episode: EpisodeStart) -> None:
        self._moments = run.moments
        self._path = run.folder / "rerun" / f"{episode_name(episode.number)}.rrd"
        private_folder(self._path.parent)
        self._stream = rerun.RecordingStream(APPLICATION, recording_id=f"{run.folder.name}-{episode.number}")
        self._stream.save(str(open_name(self._path)))
        told = {**run.header, "episode": episode.number, "instruction": episode.instruction}
        lines = "\n".join(f"- {key}: `{value}`" for key, value in text_of(told).items())
        self._stream.log("recording", rerun.TextDocument(lines, media_type="text/markdown"), static=True)
        self._name_series(run)

    def pictured(self, camera: str, picture: Picture) -> None:
        image = rerun.EncodedImage(contents=picture.encoded, media_type=f"image/{picture.format}")
        self._log(f"observation.images.{safe_name(camera)}", picture.captured_s, image)

    def observed(self, seq: int, observation: Observation) -> None:
        self._stream.set_time("observation", sequence=seq)
        self._scalars("observation.state", observation.captured_s, observation.state)
        self._stream.disable_timeline("observation")

    def ticked(self, tick: Tick) -> None:
        self._stream.set_time("step", sequence=tick.step)
        for entity, values in (("measured", tick.measured), ("action", tick.command), ("wanted", tick.wanted)):
            if values is not None:
                self._scalars(entity, tick.at_s, values)
        for broken in tick.violations:
            self._log("log", tick.at_s, rerun.TextLog(held_to(broken), level="WARN"))
        self._stream.disable_timeline("step")

    def noted(self, event: Event) -> None:
        self._log("log", event.at_s, rerun.TextLog(f"{event.code}: {event.message}", level=LEVELS[event.level]))

    def flush(self) -> None:
        self._stream.flush()

    def finish(self, end: EpisodeEnd) -> None:
        self._log("log", end.at_s, rerun.TextLog(f"{end.reason}, success: {end.success}", level="INFO"))
        self.abandon()
        seal(self._path)

    def abandon(self) -> None:
        self._stream.flush()
        self._stream.disconnect()

    def _name_series(self, run: Run) -> None:
        embodiment = run.facts.embodiment
        for entity, names in (
            ("observation.state", embodiment.state_names),
            ("measured", embodiment.state_names),
            ("action", embodiment.action_names),
            ("wanted", embodiment.action_names),
        ):
            self._stream.log(entity, _lines_called(names), static=True)

    def _scalars(self, entity: str, at_s: float, values: FloatArray) -> None:
        self._log(entity, at_s, rerun.Scalars(values))

    def _log(self, entity: str, at_s: float, what: Any) -> None:  # noqa: ANN401  # an archetype of a package without types
        self._stream.set_time(TIME, timestamp=self._moments.unix_s(at_s))
        self._stream.log(entity, what)


def _lines_called(names: Sequence[str]) -> Any:  # noqa: ANN401  # as above
    return rerun.SeriesLines(names=list(names))
