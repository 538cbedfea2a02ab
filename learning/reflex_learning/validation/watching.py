"""The pictures of a dataset, looked at once, in the order in which they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_learning.errors import DatasetError
from reflex_learning.reading.episodes import Clip, Episode
from reflex_learning.reading.info import Feature
from reflex_learning.reading.stills import Still, stills_of
from reflex_learning.reading.videos import Picture, VideoFacts, few_of, pictures_of, read_video
from reflex_learning.validation.rules.films import Film
from reflex_learning.validation.rules.shown import Shown
from reflex_learning.validation.survey import Survey
from reflex_learning.validation.tally import Tally

__all__ = ["Advance", "films_of", "shown_in_tables", "watch_film"]

Advance = Callable[[int], None]
"""Told how many frames were looked at since it was last told."""
BRIGHTEST: Final = 99
NOISE: Final = 12
"""Of 255: how far a codec may move a pixel of a picture that stays."""
FEW: Final = 1e-4
"""Of the pixels: less is no movement."""
EARLY_S: Final = 1e-4


class _Viewer:
    """Gathers what one camera shows in one episode."""

    def __init__(self, feature: Feature, episode: int, file: str) -> None:
        self.shown = Shown(feature, episode, file)
        self._before: npt.NDArray[np.uint8] | None = None
        self._sum = np.zeros(1)
        self._digest = hashlib.sha256()

    def see(self, pixels: npt.NDArray[np.uint8]) -> None:
        few = few_of(pixels)
        self.shown.brightness.append(float(np.percentile(few, BRIGHTEST)))
        coarse = pixels[::2, ::2]
        self.shown.same.append(self._before is not None and _are_the_same(self._before, coarse))
        self._before, self._sum = coarse, self._sum + few
        self._digest.update(few.tobytes())

    def end(self, tally: Tally, moved: Mapping[int, npt.NDArray[np.bool_] | None]) -> Shown:
        shown = self.shown
        if shown.brightness:
            key = (shown.feature.name, shown.episode)
            tally.brightness[key] = self._sum / len(shown.brightness)
            tally.shown[key] = self._digest.digest()[:16]
        shown.moved = moved.get(shown.episode)
        return shown


def _are_the_same(one: npt.NDArray[np.uint8], two: npt.NDArray[np.uint8]) -> bool:
    """But for what a codec makes of a picture that it is given twice."""
    if one.shape != two.shape:
        return False
    changed = np.count_nonzero(np.maximum(one, two) - np.minimum(one, two) > NOISE)
    return bool(changed <= FEW * one.size)


def films_of(survey: Survey) -> Iterator[tuple[Feature, str, list[tuple[Episode, Clip]]]]:
    """Each video file that is there, with the episodes in it, in the order of their beginnings."""
    there = set(survey.files)
    for feature in survey.info.videos:
        clips: dict[str, list[tuple[Episode, Clip]]] = {}
        for episode in survey.rows:
            clip = episode.clips[feature.name]
            if clip.file in there:
                clips.setdefault(clip.file, []).append((episode, clip))
        for file, found in clips.items():
            yield feature, file, sorted(found, key=lambda pair: pair[1].from_s)


def watch_film(
    survey: Survey, feature: Feature, file: str, clips: list[tuple[Episode, Clip]], tally: Tally, advance: Advance
) -> tuple[Film, list[Shown]]:
    """Open and decode it; a file that breaks off is looked at as far as it goes."""
    try:
        facts: VideoFacts = read_video(survey.root, file)
    except DatasetError as exc:
        return Film(survey, feature, file, clips, None, str(exc)), []
    viewers = [_Viewer(feature, episode.number, file) for episode, _ in clips]
    decoded = _look(survey, file, clips, viewers, advance)
    moved = {run.episode: run.moved for run in tally.runs}
    return Film(survey, feature, file, clips, facts, "", decoded), [viewer.end(tally, moved) for viewer in viewers]


def _look(
    survey: Survey, file: str, clips: list[tuple[Episode, Clip]], viewers: list[_Viewer], advance: Advance
) -> int:
    decoded, place = 0, 0
    for picture in _until_it_breaks(survey, file):
        while place + 1 < len(clips) and picture.at_s >= clips[place + 1][1].from_s - EARLY_S:
            place += 1
        if picture.at_s < clips[place][1].to_s - EARLY_S:
            viewers[place].see(picture.pixels)
        decoded += 1
        advance(1)
    return decoded


def _until_it_breaks(survey: Survey, file: str) -> Iterator[Picture]:
    try:
        yield from pictures_of(survey.root, file)
    except DatasetError:
        return  # what lacks is counted


def shown_in_tables(survey: Survey, feature: Feature, tally: Tally, advance: Advance) -> Iterator[Shown]:
    """Of pictures that lie in the tables, episode by episode."""
    moved = {run.episode: run.moved for run in tally.runs}
    for table in survey.data:
        viewer: _Viewer | None = None
        for still in _stills(survey, table.file, feature.name):
            if viewer is None or viewer.shown.episode != still.episode:
                yield from [] if viewer is None else [viewer.end(tally, moved)]
                viewer = _Viewer(feature, still.episode, table.file)
            _see(viewer, still, feature)
            advance(1)
        yield from [] if viewer is None else [viewer.end(tally, moved)]


def _stills(survey: Survey, file: str, camera: str) -> Iterator[Still]:
    try:
        yield from stills_of(survey.root, file, camera)
    except DatasetError:
        return  # the table's rows could not be read either, and that was said


def _see(viewer: _Viewer, still: Still, feature: Feature) -> None:
    shown, frame = viewer.shown, len(viewer.shown.same)
    if still.pixels is None:
        shown.problems.append((frame, still.problem))
        shown.same.append(False)
        return
    if (still.height, still.width) != feature.shape[:2]:
        shown.other_sizes.append((frame, f"{still.height} x {still.width}"))
    viewer.see(still.pixels)
