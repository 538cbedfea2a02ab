"""What the policy is told is what was asked for: pictures to the bit, and beginnings of other episodes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from reflex.connector import CameraFrame, Observation
from reflex_runner.evaluation.ablation import Ablation
from reflex_runner.evaluation.watching import MOST_BEGINNINGS, Beginnings, Watching
from reflex_runner.running.attending import EpisodePlan

PIXELS = np.random.default_rng(3).integers(0, 256, (12, 14, 3), np.uint8)


def observation(value: float = 0.0) -> Observation:
    return Observation(np.full(6, value, np.float32), {"front": CameraFrame(PIXELS)})


class Asked:
    control_hz = 30.0

    def __init__(self) -> None:
        self.last: Any = None

    def open(self) -> None: ...

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> Any:  # noqa: ARG002
        self.last = observation

    def close(self) -> None: ...


def test_raw_pictures_are_sent_to_the_bit() -> None:
    inner = Asked()
    watching = Watching(lambda _outcome: None, beginnings=Beginnings(), is_raw=True)
    watching.between(inner).ask(0, observation(), executed_steps=None)
    sent = inner.last.cameras["front"].image
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent))), PIXELS)
    watching.between(inner).ask(0, inner.last, executed_steps=None)
    assert inner.last.cameras["front"].image is sent, "what is a file already goes as it is"


def test_nothing_stands_between_where_nothing_was_asked_for() -> None:
    inner = Asked()
    assert Watching(lambda _outcome: None, beginnings=Beginnings()).between(inner) is inner


def test_an_ablation_takes_the_beginning_of_an_episode_other_than_this_one() -> None:
    beginnings, inner = Beginnings(), Asked()
    first = Watching(lambda _outcome: None, beginnings=beginnings)
    for number in range(MOST_BEGINNINGS + 3):
        first.observed(0, observation(number))
        first.observed(1, observation(99.0))
    assert [each.state[0] for each in beginnings.seen] == list(range(MOST_BEGINNINGS))
    second = Watching(lambda _outcome: None, beginnings=beginnings, ablation=Ablation("state", "other"))
    for number in range(MOST_BEGINNINGS + 3):
        second.began(EpisodePlan(number), None)
        second.between(inner).ask(0, observation(number), executed_steps=None)
        assert inner.last.state[0] != number
        assert inner.last.state[0] != 99.0
