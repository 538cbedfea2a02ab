"""Frames of the dataset that the policy is asked about, with what was recorded round each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from reflex_learning.errors import DatasetError
from reflex_learning.reading.dataset import Dataset, frames_of_episode
from reflex_learning.reading.episodes import Episode
from reflex_learning.reading.stills import stills_of
from reflex_learning.reading.videos import colours_of

__all__ = ["Moment", "Place", "choose_places", "read_moments"]

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]


STATE, ACTION = "observation.state", "action"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A frame of an episode."""

    episode: int
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame. Lines of `states` and `actions` are the episode's, and `place.frame` says which is now."""

    place: Place
    pictures: Mapping[str, Pixels]
    """By the policy's cameras."""
    states: Array
    actions: Array
    instruction: str

    def state(self, later: int = 0) -> Array:
        """The one recorded so many frames later; at the ends of the episode its first or last."""
        row: Array = self.states[int(np.clip(self.place.frame + later, 0, len(self.states) - 1))]
        return row

    def recorded(self, steps: int, later: int = 0, rate: float = 1.0) -> Array:
        """The actions from now on, NaN where the episode has none: [steps, axes]. `rate`: frames for each step."""
        at = self.place.frame + later + np.arange(steps) * rate
        low = np.floor(at).astype(int)
        share = (at - low)[:, None]
        last = len(self.actions) - 1
        first, second = (self.actions[np.clip(index, 0, last)] for index in (low, low + 1))
        return np.where(((at < 0) | (at > last))[:, None], np.nan, (1 - share) * first + share * second)


def choose_places(dataset: Dataset, count: int, horizon: int, seed: int) -> list[Place]:
    """So many, spread over the episodes and over the course of each; the same for the same seed.

    One after the other they go round the episodes, so that the first few are of as many episodes as there are.
    """
    random = np.random.default_rng(seed)
    room = {episode.number: max(1, episode.length - min(horizon, episode.length // 2)) for episode in dataset.episodes}
    if not room:
        raise DatasetError(f"{dataset.root} has no episode; record one")
    numbers = [int(number) for number in random.permutation(list(room))[:count]]
    rounds = -(-count // len(numbers))
    places: dict[Place, None] = {}
    for turn in random.permutation(rounds):
        for number in numbers:
            share = (int(turn) + random.random()) / rounds
            places[Place(number, int(share * room[number]))] = None
    return list(places)[:count]


def read_moments(
    dataset: Dataset, places: Sequence[Place], cameras: Mapping[str, str]
) -> Iterator[tuple[Place, Moment]]:
    """In the order of the episodes, each read once; `cameras` gives the dataset's feature for each of the policy's."""
    tasks = dict(dataset.tasks)
    for number in sorted({place.episode for place in places}):
        episode = next(each for each in dataset.episodes if each.number == number)
        frames = frames_of_episode(dataset, number)
        if STATE not in frames.columns or ACTION not in frames.columns:
            raise DatasetError(f"{dataset.root} lacks {STATE} or {ACTION}; record both")
        states, actions = (np.array(frames.columns[name], np.float64) for name in (STATE, ACTION))
        if not (np.isfinite(states).all() and np.isfinite(actions).all()):
            raise DatasetError(f"episode {number} holds a NaN or an infinity; see: reflex datasets validate")
        wanted = sorted(place.frame for place in places if place.episode == number)
        shown = {camera: _pictures(dataset, episode, feature, wanted) for camera, feature in cameras.items()}
        instruction = episode.tasks[0] if episode.tasks else tasks.get(0, "")
        for frame in wanted:
            pictures = {camera: of[frame] for camera, of in shown.items()}
            place = Place(number, frame)
            yield place, Moment(place, pictures, states, actions, instruction)


def _pictures(dataset: Dataset, episode: Episode, feature: str, wanted: Sequence[int]) -> dict[int, Pixels]:
    source = _of_video if dataset.info.features[feature].is_video else _of_table
    shown = islice(source(dataset, episode, feature), max(wanted) + 1)
    found = {frame: pixels for frame, pixels in enumerate(shown) if frame in wanted}
    if len(found) < len(set(wanted)):
        raise DatasetError(f"{feature} of episode {episode.number} ends too early; see: reflex datasets validate")
    return found


def _of_video(dataset: Dataset, episode: Episode, feature: str) -> Iterator[Pixels]:
    clip = episode.clips[feature]
    first = round(clip.from_s * dataset.info.fps)
    yield from islice(colours_of(dataset.root, clip.file), first, None)


def _of_table(dataset: Dataset, episode: Episode, feature: str) -> Iterator[Pixels]:
    for still in stills_of(dataset.root, episode.data_file, feature, mode="RGB"):
        if still.episode != episode.number:
            continue
        if still.pixels is None:
            raise DatasetError(f"{feature} of episode {episode.number}: {still.problem}; see: reflex datasets validate")
        yield still.pixels
