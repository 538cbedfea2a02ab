"""What is looked at in an observation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame, Connector, Observation
from reflex.testing.subject import fail

__all__ = ["check_observation", "check_order", "state_of"]

PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
OLDEST_S: Final = 60.0
"""A measurement that is handed over so late is none of now: mostly its date is of another clock."""


def check_observation(observation: object, state_dim: int, asked_s: float, now_s: float) -> None:
    """Its parts, and its dates: measured when asked for or before, never in the future."""
    if not isinstance(observation, Observation):
        fail(f"get_observation returns a {type(observation).__name__}; return reflex.connector.Observation(state=...)")
    _check_state(observation.state, state_dim)
    _check_date("captured_s", observation.captured_s, asked_s, now_s)
    for name, frame in observation.cameras.items():
        _check_frame(name, frame, asked_s, now_s)
    if observation.task is not None and not isinstance(observation.task, str):
        fail(f"task is a {type(observation.task).__name__}; it is text, or None")


def check_order(seen: Sequence[Observation], connector: Connector) -> None:
    """One after the other."""
    kept = [observation.state.copy() for observation in seen]
    dates = [observation.captured_s for observation in seen]
    if sorted(dates) != dates:
        fail(f"captured_s goes back: {', '.join(f'{date:.6f}' for date in dates)}; it is time.monotonic()")
    shapes = [{name: np.shape(frame.image) for name, frame in observation.cameras.items()} for observation in seen]
    if any(_unlike(shape, shapes[0]) for shape in shapes):
        fail(f"its cameras change from one observation to the next: {shapes[0]}, then {shapes[-1]}")
    connector.get_observation()
    is_shared = any(_is_shared(one, other) for one, other in itertools.pairwise(seen))
    if is_shared or any(not np.array_equal(one.state, state) for one, state in zip(seen, kept, strict=True)):
        fail("an observation changes after it was handed over; give each a state of its own: state.copy()")


def state_of(connector: Connector) -> npt.NDArray[np.float32]:
    """As it is now, and stays."""
    return np.array(connector.get_observation().state, np.float32)


def _check_state(state: Any, state_dim: int) -> None:  # noqa: ANN401  # whatever it is
    if not isinstance(state, np.ndarray) or state.dtype != np.float32:
        kind = f"an array of {state.dtype}" if isinstance(state, np.ndarray) else f"a {type(state).__name__}"
        fail(f"state is {kind}; make it numpy.float32: np.asarray(values, np.float32)")
    if state.shape != (state_dim,):
        fail(f"state has the shape {state.shape} instead of ({state_dim},)")
    if not np.isfinite(state).all():
        fail(f"state is not finite: {state}; raise an error when a joint cannot be read")


def _check_date(what: str, date: Any, asked_s: float, now_s: float) -> None:  # noqa: ANN401
    if not isinstance(date, float | int) or not np.isfinite(date):
        fail(f"{what} is {date!r}; it is time.monotonic() when it was measured")
    if date > now_s:
        fail(f"{what} lies {date - now_s:.3g} s in the future; it is time.monotonic(), not time.time()")
    if date < asked_s - OLDEST_S:
        fail(f"{what} lies {now_s - date:.3g} s back; it is time.monotonic() when it was measured")


def _check_frame(name: object, frame: object, asked_s: float, now_s: float) -> None:
    if not isinstance(name, str) or not name:
        fail(f"a camera is called {name!r}; it is the policy's name for it")
    if not isinstance(frame, CameraFrame):
        fail(f"camera {name} is a {type(frame).__name__}; make it reflex.connector.CameraFrame(image)")
    _check_date(f"captured_s of camera {name}", frame.captured_s, asked_s, now_s)
    image: Any = frame.image
    if isinstance(image, bytes):
        if not image.startswith(PICTURES):
            fail(f"camera {name} gives bytes that are neither a JPEG nor a PNG")
    elif not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        fail(f"camera {name} gives {kind}; give uint8 of shape (height, width, 3), RGB, or the bytes of a JPEG or PNG")


def _is_shared(one: Observation, other: Observation) -> bool:
    """Two measurements in one buffer; the same one may be handed over twice."""
    return one.captured_s != other.captured_s and np.shares_memory(one.state, other.state)


def _unlike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() != other.keys() or one != other
