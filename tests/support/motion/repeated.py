"""The same observation again, and nearly the same: what a server with `--prefix-cache-mb` answers over HTTP."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import numpy as np
from PIL import Image

from reflex_frontend.policy.policy import ServedPolicy
from support.hostile import PATIENT
from support.waiting import HANGS_S, wait_until

__all__ = ["Repeating", "answered", "check_repeats"]

SIDE_PX = 48


@dataclass
class Repeating:
    """One observation of a served policy, to be asked again and again; each seed is another noise."""

    base_url: str
    policy: ServedPolicy

    def __post_init__(self) -> None:
        config = self.policy.config
        random = np.random.RandomState(3)
        images = {tensor.name: tensor.shape for tensor in config.inputs if tensor.name.startswith("image.")}
        self.pixels = {
            name.removeprefix("image."): random.randint(0, 256, (*_sides(shape), 3), np.uint8)
            for name, shape in images.items()
        }
        self.state = [0.1] * config.state_dim

    @property
    def body(self) -> dict[str, Any]:
        return {"instruction": "put the cup on the plate", "state": self.state, "images": self.images()}

    def images(self, *, changed_bit: int = 0) -> dict[str, str]:
        """The last value of the last camera differs by `changed_bit`."""
        pixels = {name: values.copy() for name, values in self.pixels.items()}
        list(pixels.values())[-1][-1, -1, -1] ^= changed_bit
        return {name: _png(values) for name, values in pixels.items()}

    def act(self, episode: str | None, seed: int, **changes: Any) -> dict[str, Any]:
        body = {**self.body, "seed": seed, **({} if episode is None else {"episode_id": episode}), **changes}
        with httpx.Client(base_url=self.base_url, timeout=HANGS_S, headers=PATIENT, verify=False) as client:
            return answered(client, body)

    def is_hit(self, episode: str, seed: int, **changes: Any) -> bool:
        """Whether the answer came from a kept prefix; without an episode the model says the same, to the bit."""
        given, whole = self.act(episode, seed, **changes), self.act(None, seed, **changes)
        assert given["actions"] == whole["actions"]
        assert whole["cache_hit"] is False
        return bool(given["cache_hit"])


def answered(client: httpx.Client, body: Mapping[str, Any]) -> dict[str, Any]:
    """What `/act` answers, as soon as the model does: a machine that is busy for a second is no hung Triton."""
    answers: list[httpx.Response] = []

    def is_answered() -> bool:
        answers.append(client.post("/act", json=body))
        return answers[-1].status_code != HTTPStatus.SERVICE_UNAVAILABLE

    wait_until(is_answered, "the model answers")
    assert answers[-1].status_code == HTTPStatus.OK, answers[-1].text
    given: dict[str, Any] = answers[-1].json()
    return given


def check_repeats(base_url: str, policy: ServedPolicy) -> None:
    """All that the prefix of a family depends on, and what it does not."""
    asked = Repeating(base_url, policy)
    noise = "noise" in {tensor.name for tensor in policy.config.inputs}
    assert [asked.is_hit("e", seed) for seed in (1, 2, 3)] == [False, True, True]
    first, second = (asked.act("e", seed)["actions"] for seed in (1, 2))
    assert (first != second) == noise, "the seed is not forgotten"
    for name, changes in _changes(asked).items():
        expected = name == "another word" and policy.config.prompt is None
        assert asked.is_hit("e", 4, **changes) == expected, name
        assert asked.is_hit("e", 5, **changes), f"{name}, again"
        assert asked.is_hit("e", 6) == expected, f"back from {name}"
        assert asked.is_hit("e", 7), "and again"
    assert not asked.is_hit("f", 7)
    in_text = policy.stages is not None and "state" not in policy.stages.observed
    alike = {"state": [asked.state[0] + 1e-6, *asked.state[1:]]}
    assert asked.is_hit("e", 8, **alike) == in_text, "a state that is written as text is the same within a step"


def _changes(asked: Repeating) -> Mapping[str, dict[str, Any]]:
    return {
        "one bit of one pixel": {"images": asked.images(changed_bit=1)},
        "another word": {"instruction": "put the cup on the table"},
        "another state": {"state": [asked.state[0] + 0.3, *asked.state[1:]]},
    }


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    return (SIDE_PX if shape[0] < 0 else shape[0], SIDE_PX if shape[1] < 0 else shape[1])


def _png(pixels: np.ndarray[Any, Any]) -> str:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()
