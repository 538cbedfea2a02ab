"""`act`, written once for both clients and both kinds of episode, and the request that it becomes."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from reflex.client.call import Call
from reflex.client.images import ImageInput, encode_image
from reflex.errors import service_error
from reflex.wire import ActBody

__all__ = ["Acting", "Observation", "act_call", "new_id"]

TEXTS: Final = ("S", "U")
"""What numpy calls arrays of text."""

OutcomeT = TypeVar("OutcomeT")


@dataclass(frozen=True, slots=True)
class Observation:
    """The arguments of one `act`, with its request id settled: every retry carries the same one."""

    state: Iterable[float]
    request_id: str
    instruction: str | None = None
    image: ImageInput | None = None
    images: Mapping[str, ImageInput] | None = None
    seed: int | None = None
    deadline_s: float | None = None
    episode_id: str | None = None

    def in_episode(self, episode_id: str, instruction: str | None) -> Observation:
        """The same observation as part of an episode, whose instruction stands in for a missing one."""
        own = self.instruction if self.instruction is not None else instruction
        return replace(self, episode_id=episode_id, instruction=own)


class Acting(ABC, Generic[OutcomeT]):
    """Something that can be asked for a chunk: a client, or one of its episodes.

    `OutcomeT` is an `ActResult`, or a coroutine of one.
    """

    def act(
        self,
        *,
        state: Iterable[float],
        instruction: str | None = None,
        image: ImageInput | None = None,
        images: Mapping[str, ImageInput] | None = None,
        seed: int | None = None,
        request_id: str | None = None,
        deadline_s: float | None = None,
    ) -> OutcomeT:
        """Ask for one action chunk: `act(...)["actions"]` is [num_actions][action_dim] in robot units.

        `state` is in robot units and as long as the policy's state_dim. `image` goes to the policy's first camera,
        `images` to cameras by name; give one of the two. An image is a numpy uint8 array (height x width x 3, RGB), a
        PIL image, the bytes of a JPEG or PNG, or a `pathlib.Path`. The same `seed` gives the same answer. `instruction`
        defaults to the episode's, `deadline_s` to the client's, `request_id` to a new UUID.

        Raises `ClientTimeoutError` at the deadline, `TransportError` when the server cannot be reached, and the
        `ServiceError` of the server's answer otherwise.
        """
        return self._send_act(
            Observation(
                state=state,
                request_id=request_id or new_id(),
                instruction=instruction,
                image=image,
                images=images,
                seed=seed,
                deadline_s=deadline_s,
            )
        )

    @abstractmethod
    def _send_act(self, observation: Observation) -> OutcomeT: ...


def new_id() -> str:
    """An id that no other client or episode has."""
    return str(uuid.uuid4())


def act_call(observation: Observation) -> Call:
    """Encode an observation. Takes milliseconds for raw pixels, so an event loop must not run it itself.

    `InvalidRequestError` for what could never be served; the message names the argument.
    """
    if observation.image is not None and observation.images is not None:
        raise service_error("wrong_type", "give either image (the first camera) or images (by name), not both")
    fields: ActBody = {
        "instruction": observation.instruction or "",
        "state": _finite_state(observation.state),
        "request_id": observation.request_id,
    }
    if observation.image is not None:
        fields["image_b64"] = encode_image(observation.image)
    if observation.images is not None:
        fields["images"] = {name: encode_image(image) for name, image in observation.images.items()}
    if observation.seed is not None:
        fields["seed"] = _whole_number("seed", observation.seed)
    if observation.episode_id is not None:
        fields["episode_id"] = observation.episode_id
    return Call(
        "POST", "/act", json.dumps(fields, separators=(",", ":")).encode("ascii"), episode_id=observation.episode_id
    )


def _finite_state(state: Iterable[float]) -> list[float]:
    values = [_number(f"state[{index}]", value) for index, value in enumerate(_listed(state))]
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise service_error("not_finite", f"state[{index}] is {value}; a sensor that has no value must not be sent")
    return values


def _listed(state: object) -> list[object]:
    with contextlib.suppress(TypeError):
        if not isinstance(state, str | bytes | bytearray):
            return list(state)  # type: ignore[call-overload, no-any-return]  # tried
    raise service_error("wrong_type", "state must be a flat sequence of numbers")


def _number(name: str, value: object) -> float:
    """A number of Python, numpy or torch. Text and truth values are none, though `float` takes them for such."""
    if not _is_truth_or_text(value):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(value)  # type: ignore[arg-type]  # tried
    raise service_error("wrong_type", f"{name} is a {type(value).__name__}; state must be a flat sequence of numbers")


def _whole_number(name: str, value: object) -> int:
    if not _is_truth_or_text(value):
        with contextlib.suppress(TypeError):
            return operator.index(value)  # type: ignore[arg-type]  # tried
    raise service_error("wrong_type", f"{name} is a {type(value).__name__}; it must be a whole number")


def _is_truth_or_text(value: object) -> bool:
    kind = getattr(value, "dtype", "")
    return (
        isinstance(value, bool | str | bytes | bytearray) or "bool" in str(kind) or getattr(kind, "kind", "") in TEXTS
    )
