"""Rules of one video file, and of the episodes in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from reflex_learning.reading.episodes import Clip, Episode
from reflex_learning.reading.info import Feature
from reflex_learning.reading.videos import VideoFacts
from reflex_learning.validation.rule import Finding, Rule
from reflex_learning.validation.survey import Survey

__all__ = ["RULES", "Film"]

TOLERANCE_S: Final = 1e-4
"""LeRobot's `tolerance_s`."""
RATE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Film:
    """`facts` is None, and `problem` says why, where the file does not open."""

    survey: Survey
    feature: Feature
    file: str
    clips: Sequence[tuple[Episode, Clip]]
    facts: VideoFacts | None
    problem: str = ""
    decoded: int | None = None
    """Frames that could be; None where nobody tried."""

    @property
    def at_rate(self) -> VideoFacts | None:
        """None where the video is of another rate, which says it all."""
        fps = None if self.facts is None else self.facts.fps
        return self.facts if fps is None or abs(fps / self.survey.info.fps - 1) <= RATE else None

    def at(self, says: str, episode: Episode | None = None, frame: int | None = None) -> Finding:
        return Finding(says, self.file, None if episode is None else episode.number, frame)


def _opens(film: Film) -> Iterator[Finding]:
    if film.facts is None:
        yield film.at(film.problem)


def _decodes(film: Film) -> Iterator[Finding]:
    if film.facts is not None and film.decoded is not None and film.decoded < len(film.facts.times_s):
        yield film.at(f"{film.decoded} of {len(film.facts.times_s)} frames can be decoded", None, film.decoded)


def _has_its_size(film: Film) -> Iterator[Finding]:
    if film.facts is not None and (film.facts.height, film.facts.width) != film.feature.shape[:2]:
        size = f"{film.facts.height} x {film.facts.width}"
        yield film.at(f"{film.feature.name} is {size}, and {list(film.feature.shape[:2])} in meta/info.json")


def _has_its_rate(film: Film) -> Iterator[Finding]:
    if film.facts is not None and film.at_rate is None:
        yield film.at(f"it has {film.facts.fps:.3g} frames a second, and the dataset {film.survey.info.fps:g}")


def _has_its_codec(film: Film) -> Iterator[Finding]:
    told = film.feature.video.get("video.codec")
    if film.facts is not None and told is not None and told != film.facts.codec:
        yield film.at(f"its codec is {film.facts.codec}, and {str(told)[:40]} in meta/info.json")


def _has_all_frames(film: Film) -> Iterator[Finding]:
    if film.at_rate is None:
        return
    times = film.at_rate.times_s
    for episode, clip in film.clips:
        end_s = clip.from_s + episode.length / film.survey.info.fps
        found = int(((times >= clip.from_s - TOLERANCE_S) & (times < end_s - TOLERANCE_S)).sum())
        if found < episode.length and clip.from_s <= (times[-1] if len(times) else 0.0) + 1 / film.survey.info.fps:
            yield film.at(f"it holds {found} of its {episode.length} frames", episode, found)
        elif found < episode.length:
            yield film.at(f"it ends before the episode begins, at {clip.from_s:g} s", episode, 0)


def _spans_are_as_long(film: Film) -> Iterator[Finding]:
    fps = film.survey.info.fps
    for episode, clip in film.clips:
        if abs((clip.to_s - clip.from_s) * fps - episode.length) > 0.5:
            span = f"from {clip.from_s:g} to {clip.to_s:g} s are {(clip.to_s - clip.from_s) * fps:.1f} frames"
            says = f"{film.feature.name}: {span}, and it has {episode.length}"
            yield Finding(says, episode.table, episode.number)


def _spans_are_apart(film: Film) -> Iterator[Finding]:
    for (_, before), (episode, clip) in pairwise(film.clips):
        if (
            clip.from_s < before.to_s - 0.5 / film.survey.info.fps
            and clip.to_s > clip.from_s
            and before.to_s > before.from_s
        ):
            yield film.at(
                f"it begins at {clip.from_s:g} s, and the one before it ends at {before.to_s:g} s", episode, 0
            )


def _begins_on_a_frame(film: Film) -> Iterator[Finding]:
    times = np.empty(0) if film.at_rate is None else film.at_rate.times_s
    for episode, clip in film.clips:
        off = float(np.abs(times - clip.from_s).min()) if len(times) else 0.0
        if TOLERANCE_S <= off < 1 / film.survey.info.fps:
            yield film.at(f"it begins {off * 1000:.2f} ms beside a frame; LeRobot wants less than 0.1", episode, 0)


def _frames_are_even(film: Film) -> Iterator[Finding]:
    times = np.empty(0) if film.at_rate is None else film.at_rate.times_s
    for episode, clip in film.clips:
        begin = int(np.searchsorted(times, clip.from_s - TOLERANCE_S))
        found = times[begin : begin + episode.length]
        if not len(found) or abs(found[0] - clip.from_s) >= TOLERANCE_S:
            continue
        off = np.abs(found - clip.from_s - np.arange(len(found)) / film.survey.info.fps)
        if off.max() >= TOLERANCE_S:
            frame = int(np.argmax(off >= TOLERANCE_S))
            yield film.at(f"a frame is {off[frame] * 1000:.2f} ms from where its rate puts it", episode, frame)


ENCODE: Final = "encode the video anew: frame n at n / fps"
RULES: Final = (
    Rule("video-opens", "error", "every video opens", "copy the video anew", _opens),
    Rule(
        "video-decodes", "error", "every frame of every video can be decoded", "copy or encode the video anew", _decodes
    ),
    Rule(
        "video-size",
        "error",
        "videos are as large as meta/info.json says",
        "write its shape, or encode the video anew",
        _has_its_size,
    ),
    Rule("video-rate", "error", "videos have the dataset's rate", ENCODE, _has_its_rate),
    Rule("video-codec", "warning", "videos have the codec of meta/info.json", "write video.codec anew", _has_its_codec),
    Rule(
        "video-frames",
        "error",
        "videos have every frame that their episodes need",
        "copy the video anew, or delete the episode",
        _has_all_frames,
    ),
    Rule(
        "video-spans",
        "error",
        "from_timestamp to to_timestamp is as long as the episode",
        "write them anew",
        _spans_are_as_long,
    ),
    Rule(
        "video-overlap",
        "error",
        "episodes in one video do not overlap",
        "write from_timestamp and to_timestamp anew",
        _spans_are_apart,
    ),
    Rule(
        "video-start",
        "error",
        "from_timestamp lies on a frame",
        "write it as the time of that frame: added up, it drifts",
        _begins_on_a_frame,
    ),
    Rule("video-times", "error", "frames of an episode follow each other at the rate", ENCODE, _frames_are_even),
)
