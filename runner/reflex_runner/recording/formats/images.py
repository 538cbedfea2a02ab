"""Pictures as files, named by the microsecond in which each was taken: `front/1795817887123456.jpg`.

`jsonl` refers to them. An episode's folder is called `.open` until the episode is whole.
"""

from __future__ import annotations

from pathlib import Path

from reflex_runner.recording.formats.files import begin_folder, episode_name, private_folder, seal
from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Run
from reflex_runner.recording.moments import Moments
from reflex_runner.recording.pictures import Picture

__all__ = ["Images", "picture_file", "safe_name"]


def safe_name(camera: str) -> str:
    """A camera's name as a folder's: what could lead elsewhere becomes `_`."""
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in camera)
    return name.replace("..", "__").lstrip(".") or "_"


def picture_file(camera: str, picture: Picture, moments: Moments) -> str:
    """Where it lies in its episode's folder."""
    return f"{safe_name(camera)}/{moments.unix_us(picture.captured_s)}{picture.suffix}"


class Images:
    """The format `images`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def begin(self, episode: EpisodeStart) -> EpisodeWriter:
        return _ImagesEpisode(self._run.folder / "images" / episode_name(episode.number), self._run.moments)

    def close(self) -> None:
        """Nothing is open between episodes."""


class _ImagesEpisode(EpisodeWriter):
    def __init__(self, folder: Path, moments: Moments) -> None:
        self._folder = folder
        self._open = begin_folder(folder)
        self._moments = moments

    def pictured(self, camera: str, picture: Picture) -> None:
        if picture.encoded is None:
            return
        file = self._open / picture_file(camera, picture, self._moments)
        private_folder(file.parent)
        file.write_bytes(picture.encoded)

    def finish(self, _end: EpisodeEnd) -> None:
        seal(self._folder)

    def abandon(self) -> None:
        """Every whole picture is one."""
