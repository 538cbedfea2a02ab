"""What may be wrong, each with its inverse: how to ask, or to read the answer, as if it were put right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_learning.diagnosis import picturing
from reflex_learning.diagnosis.served import Served, Vector
from reflex_learning.diagnosis.vectors import Change, changes_of, zero_changes

__all__ = ["Hypothesis", "actions_and_times", "of_instructions", "of_pictures", "of_vectors", "of_zeros"]

Pixels = npt.NDArray[np.uint8]
Pictures = Mapping[str, Pixels]


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """`kind` names the line, `detail` the rest of it. What is None, 0 or 1 is left as recorded."""

    kind: str
    detail: str
    sent: str = ""
    """Equal for hypotheses that ask alike; empty: nothing else is asked than was recorded."""
    pictures: Callable[[Pictures], Pictures] | None = None
    state: Callable[[Vector], Vector] | None = None
    instruction: Callable[[str], str] | None = None
    later: int = 0
    """The state so many frames later is sent."""
    taken: Callable[[Vector], Vector] | None = None
    """Of the actions that come back: as they would have been recorded."""
    shift: int = 0
    """What was recorded so many frames later is what the actions are held against."""
    rate: float = 1.0
    """Recorded frames for each step of a chunk."""

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


MIDDLES: Final = (0.9, 0.8, 0.65)
LIGHTS: Final = (0.5, 2.0, 3.0)
GAMMAS: Final = (0.45, 2.2)
LATE: Final = (1, 2, 3, 5, 8)
RATES: Final = (1 / 3, 0.5, 2.0, 3.0)
MOST_PAIRS: Final = 10


def of_pictures(cameras: Sequence[str], shapes: Iterable[tuple[int, ...]]) -> Iterator[Hypothesis]:
    """Of all cameras at once, of each alone where there are several, and of two that are exchanged."""
    yield from (_each(kind, detail, change, cameras) for kind, detail, change in _picture_changes(shapes))
    if len(cameras) > 1:
        for camera in cameras:
            for kind, change in ONE_CAMERA:
                yield _each(kind, f"of the camera {camera}", change, (camera,))
    for first, second in combinations(cameras, 2):
        yield Hypothesis("cameras-swapped", f"{first} and {second}", f"{first}<>{second}", _exchanged(first, second))


Changed = Callable[[Pixels], Pixels]
ONE_CAMERA: Final[tuple[tuple[str, Changed], ...]] = (
    ("colours", picturing.reversed_colours),
    ("mirrored", picturing.mirrored),
    ("upside-down", picturing.turned),
)


def _picture_changes(shapes: Iterable[tuple[int, ...]]) -> Iterator[tuple[str, str, Changed]]:
    yield "colours", "", picturing.reversed_colours
    yield "mirrored", "", picturing.mirrored
    yield "upside-down", "flipped", picturing.upside_down
    yield "upside-down", "turned by 180 degrees", picturing.turned
    yield "rotated", "a quarter turn to the right", picturing.quarter_turned(1)
    yield "rotated", "a quarter turn to the left", picturing.quarter_turned(-1)
    for share in MIDDLES:
        yield "cropped", f"about {share:.0%} of each side", picturing.padded(share)
        yield "too-wide", f"training saw about {share:.0%} of each side", picturing.cropped(share)
    for times in LIGHTS:
        yield "brightness", f"about {1 / times:.2g} times as bright", picturing.brighter(times)
    for power in GAMMAS:
        yield "brightness", f"a gamma of about {1 / power:.2g}", picturing.darker(power)
    if any(shape[0] != shape[1] for shape in shapes):
        yield "stretched", "training squeezed them to a square", picturing.as_square
        yield "stretched", "training took the square in the middle", picturing.square_middle
        yield "stretched", "training put black bars beside them", picturing.letterboxed


def _each(kind: str, detail: str, change: Changed, cameras: Sequence[str]) -> Hypothesis:
    def changed(pictures: Pictures) -> Pictures:
        return {name: change(pixels) if name in cameras else pixels for name, pixels in pictures.items()}

    return Hypothesis(kind, detail, f"{kind} {detail} {','.join(cameras)}", changed)


def _exchanged(first: str, second: str) -> Callable[[Pictures], Pictures]:
    names = {first: second, second: first}
    return lambda pictures: {name: pictures[names.get(name, name)] for name in pictures}


def of_vectors(
    served: Served, suspects: Sequence[str], spreads: Mapping[str, Sequence[Vector]]
) -> Iterator[Hypothesis]:
    """Of state, actions, and both: of single axes only the suspects. `spreads`: mean, std, least, greatest of each."""
    robot = served.robot
    states = changes_of(served, robot.state_names, robot.state_units, suspects, spreads.get("state"))
    actions = changes_of(served, robot.action_names, robot.action_units, suspects, spreads.get("action"))
    yield from _paired(states, actions)


def of_zeros(served: Served, offsets: Iterable[tuple[str, float]]) -> Iterator[Hypothesis]:
    """Of axes that may have been recorded so much too high."""
    robot, told = served.robot, list(offsets)
    yield from _paired(zero_changes(robot.state_names, told), zero_changes(robot.action_names, told))


def _paired(states: Iterable[Change], actions: Iterable[Change]) -> Iterator[Hypothesis]:
    """Each of the state alone, of the actions alone, and of both where both have it."""
    of_actions = {change.key: change for change in actions}
    for change in states:
        yield Hypothesis(f"state-{change.kind}", change.detail, change.key, state=change.forward)
        other = of_actions.get(change.key)
        if other is not None:
            yield Hypothesis(change.kind, change.detail, change.key, state=change.forward, taken=other.inverse)
    for change in of_actions.values():
        yield Hypothesis(f"action-{change.kind}", change.detail, taken=change.inverse)


def of_instructions(texts: Sequence[str]) -> Iterator[Hypothesis]:
    """Every other text that the policy may know the task by."""
    for text in texts:
        yield Hypothesis("instruction", f"{text!r} fits better", f"text {text}", instruction=lambda _, text=text: text)  # type: ignore[misc]
    for first, second in islice(combinations(texts, 2), MOST_PAIRS):
        change = _texts_exchanged(first, second)
        yield Hypothesis(
            "instruction", f"{first!r} and {second!r} are exchanged", f"text {first}<>{second}", instruction=change
        )
    for detail, change in WRITTEN:
        yield Hypothesis("instruction", detail, f"text {detail}", instruction=change)


def _texts_exchanged(first: str, second: str) -> Callable[[str], str]:
    texts = {first: second, second: first}
    return lambda text: texts.get(text, text)


WRITTEN: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("training wrote it in small letters", str.lower),
    ("training wrote no punctuation", lambda text: text.rstrip(" .!?\n")),
    ("training wrote blanks for underscores", lambda text: text.replace("_", " ")),
)


def actions_and_times() -> Iterator[Hypothesis]:
    """What is late, and at which speed it goes."""
    for frames in LATE:
        yield Hypothesis("state-late", f"by about {frames} frames", f"late {frames}", later=frames)
        yield Hypothesis("pictures-late", f"by about {frames} frames", f"late -{frames}", later=-frames, shift=-frames)
        yield Hypothesis("action-late", f"they come about {frames} frames late", shift=frames)
        yield Hypothesis("action-late", f"they come about {frames} frames early", shift=-frames)
    for rate in RATES:
        yield Hypothesis(
            "playback-rate", f"{'faster' if rate < 1 else 'slower'}, some {max(rate, 1 / rate):.0f} times", rate=rate
        )
