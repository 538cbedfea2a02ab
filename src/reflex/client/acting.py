"""`act`, written once for both clients and both kinds of episode, and the request that it becomes."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypedDict, TypeVar, cast

from reflex.client.call import Call
from reflex.client.images import ImageInput, encode_image
from reflex.errors import service_error
from reflex.wire import ActBody, CorrectBody

__all__ = [
    "Acting",
    "Continuation",
    "Observation",
    "Rest",
    "act_call",
    "continuation",
    "correct_call",
    "finite_state",
    "new_id",
]

TEXTS: Final = ("S", "U")
"""What numpy calls arrays of text."""
NUMERIC: Final = ("f", "i", "u")
"""And arrays of numbers."""
FLOATS: Final = frozenset({float})
"""Exact types: a truth value is an int to isinstance, and a scalar of numpy a float."""

OutcomeT = TypeVar("OutcomeT")
CorrectedT = TypeVar("CorrectedT")


class Continuation(TypedDict, total=False):
    """Those fields of `ActBody` that say what the robot still has of its chunk."""

    executed_steps: int
    inference_delay_steps: int
    prev_actions: list[list[float]]


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
    executed_steps: int | None = None
    inference_delay_steps: int | None = None
    prev_actions: Iterable[Iterable[float]] | None = None

    def in_episode(self, episode_id: str, instruction: str | None) -> Observation:
        """The same observation as part of an episode, whose instruction stands in for a missing one."""
        own = self.instruction if self.instruction is not None else instruction
        return replace(self, episode_id=episode_id, instruction=own)


@dataclass(frozen=True, slots=True)
class Rest:
    """The arguments of one `correct`."""

    state: Iterable[float]
    actions: Sequence[Sequence[float]]
    request_id: str
    position: int | None = None
    deadline_s: float | None = None
    episode_id: str | None = None


class Acting(ABC, Generic[OutcomeT, CorrectedT]):
    """Something that can be asked for a chunk: a client, or one of its episodes.

    `OutcomeT` is an `ActResult`, `CorrectedT` a `CorrectResult`, or coroutines of them.
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
        executed_steps: int | None = None,
        inference_delay_steps: int | None = None,
        prev_actions: Iterable[Iterable[float]] | None = None,
    ) -> OutcomeT:
        """Ask for one action chunk: `act(...)["actions"]` is [num_actions][action_dim] in robot units.

        `state` is in robot units and as long as the policy's state_dim. `image` goes to the policy's first camera,
        `images` to cameras by name; give one of the two. An image is a numpy uint8 array (height x width x 3, RGB), a
        PIL image, the bytes of a JPEG or PNG, or a `pathlib.Path`. The same `seed` gives the same answer. `instruction`
        defaults to the episode's, `deadline_s` to the client's, `request_id` to a new UUID.

        A server with `--rtc` has the chunk continue the one before it, and knows by its clock how far that is executed.
        Who knows better says so: how many of its actions were executed when the observation was taken, and how many
        further ones will be before the answer is there; or, in place of `executed_steps`, what is left of it itself.

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
                executed_steps=executed_steps,
                inference_delay_steps=inference_delay_steps,
                prev_actions=prev_actions,
            )
        )

    def correct(
        self,
        *,
        state: Iterable[float],
        actions: Sequence[Sequence[float]],
        position: int | None = None,
        request_id: str | None = None,
        deadline_s: float | None = None,
    ) -> CorrectedT:
        """Have the rest of a chunk corrected by the newest `state`; no model runs, so it is for every control step.

        `actions` begin with the one that is due now, which is number `position` of its chunk; without a `position` they
        are the chunk's last ones. As many come back as `correct(...)["actions"]`, inside the robot's limits. Needs a
        server with `--a2c2-checkpoint`: any other raises `InvalidRequestError` not_found. Raises like `act` otherwise.
        """
        return self._send_rest(Rest(state, actions, request_id or new_id(), position, deadline_s))

    @abstractmethod
    def _send_act(self, observation: Observation) -> OutcomeT: ...

    @abstractmethod
    def _send_rest(self, rest: Rest) -> CorrectedT: ...


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
        "state": finite_state(observation.state),
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
    known = continuation(observation.executed_steps, observation.inference_delay_steps, observation.prev_actions)
    fields.update(known)  # type: ignore[typeddict-item]  # some of the fields of a body
    return Call(
        "POST", "/act", json.dumps(fields, separators=(",", ":")).encode("ascii"), episode_id=observation.episode_id
    )


def continuation(
    executed_steps: int | None, inference_delay_steps: int | None, prev_actions: Iterable[Iterable[float]] | None
) -> Continuation:
    """What is known of the chunk that is being executed, as a request carries it."""
    fields: Continuation = {}
    if executed_steps is not None:
        fields["executed_steps"] = _whole_number("executed_steps", executed_steps)
    if inference_delay_steps is not None:
        fields["inference_delay_steps"] = _whole_number("inference_delay_steps", inference_delay_steps)
    if prev_actions is not None:
        rows = _listed("prev_actions", prev_actions)
        fields["prev_actions"] = [_finite(f"prev_actions[{step}]", row) for step, row in enumerate(rows)]
    return fields


def correct_call(rest: Rest) -> Call:
    """Encode the rest of a chunk; raises like `act_call`."""
    rows = _listed("actions", rest.actions)
    fields: CorrectBody = {
        "state": finite_state(rest.state),
        "actions": [_finite(f"actions[{step}]", row) for step, row in enumerate(rows)],
        "request_id": rest.request_id,
    }
    if rest.position is not None:
        fields["position"] = _whole_number("position", rest.position)
    if rest.episode_id is not None:
        fields["episode_id"] = rest.episode_id
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return Call("POST", "/act/correct", body, episode_id=rest.episode_id)


def finite_state(state: Iterable[float]) -> list[float]:
    """The numbers of a state, whatever kind of sequence holds them; `InvalidRequestError` for what is none."""
    return _finite("state", state)


def _finite(name: str, numbers: object) -> list[float]:
    """A chunk has hundreds of numbers, at every control step: where all are floats already, no one is looked at."""
    listed = _listed(name, numbers)
    if FLOATS.issuperset(map(type, listed)):
        values = cast("list[float]", listed)
    else:
        values = [_number(name, f"{name}[{index}]", value) for index, value in enumerate(listed)]
    if not all(map(math.isfinite, values)):
        index, value = next((index, value) for index, value in enumerate(values) if not math.isfinite(value))
        raise service_error("not_finite", f"{name}[{index}] is {value}; what has no value must not be sent")
    return values


def _listed(name: str, values: object) -> list[object]:
    if getattr(values, "ndim", 0) == 1 and getattr(getattr(values, "dtype", None), "kind", "") in NUMERIC:
        with contextlib.suppress(AttributeError):  # numpy's gives them without an object for each; others have none
            return cast("list[object]", cast("Any", values).tolist())
    with contextlib.suppress(TypeError):
        if not isinstance(values, str | bytes | bytearray):
            return list(values)  # type: ignore[call-overload, no-any-return]  # tried
    raise service_error("wrong_type", f"{name} must be a flat sequence of numbers")


def _number(of: str, name: str, value: object) -> float:
    """A number of Python, numpy or torch. Text and truth values are none, though `float` takes them for such."""
    if not _is_truth_or_text(value):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(value)  # type: ignore[arg-type]  # tried
    raise service_error("wrong_type", f"{name} is a {type(value).__name__}; {of} must be a flat sequence of numbers")


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
