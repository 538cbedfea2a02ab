"""Untrusted bytes of `POST /act` in, a checked `ActRequest` out. `parse_act` is the fuzz target of this project."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from reflex.errors import ServiceError, service_error
from reflex.wire import (
    DEADLINE_HEADER,
    DEFAULT_DEADLINE_MS,
    LARGEST_STATE,
    MAX_DEADLINE_MS,
    MAX_ID_CHARACTERS,
    MAX_INSTRUCTION_CHARACTERS,
    MAX_NUMBERS,
    MAX_SEED,
    MIN_DEADLINE_MS,
)
from reflex_frontend.observation.steps import Rows, parse_prev_actions, parse_steps

__all__ = [
    "ActRequest",
    "ImageSource",
    "Pixels",
    "checked_instruction",
    "deadline_ms_of",
    "identifier_of",
    "json_object",
    "parse_act",
    "parse_deadline_ms",
    "parse_fields",
    "parse_large_act",
    "random_uuid",
    "refuse",
    "refuse_many_numbers",
    "state_of",
]

EXPLAIN_LIMIT_BYTES: Final = 64 * 1024
"""Up to this size a body that does not parse is read once more by a slower parser that can say why."""

Pixels = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""
ImageSource = str | list[Any] | bytes | Pixels
"""Base64 text (a `data:` URI too), or nested H x W x 3 integers; of what is no JSON a JPEG's or PNG's bytes, or pixels.

Nobody may write to the pixels any more: they are looked at again after the answer.
"""


@dataclass(frozen=True, slots=True)
class ActRequest:
    """One request, its types and lengths checked; whether it fits the policy is checked against the policy."""

    instruction: str
    state: tuple[float, ...]
    image: ImageSource | None
    """The policy's first camera."""
    images: Mapping[str, ImageSource] | None
    """Several cameras by name; exclusive with `image`."""
    episode_id: str | None
    request_id: str
    resendable: bool
    """The client chose the request_id, so it may send the same request again."""
    seed: int | None
    executed_steps: int | None = None
    """Of the episode's last answer, when this observation was taken."""
    inference_delay_steps: int | None = None
    prev_actions: Rows | None = None
    """Robot units; exclusive with `executed_steps`."""


def random_uuid() -> str:
    """A version 4 UUID without a call of the operating system: it tells requests apart, it keeps no secret."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def refuse(code: str, message: str, *, request_id: str | None = None, **context: object) -> ServiceError:
    """The error for a request that must change before it is sent again."""
    return service_error(code, message, request_id=request_id, context=context)


def parse_act(body: bytes | bytearray) -> ActRequest:
    """Check the body of `/act` field by field.

    Raises `ServiceError` (invalid_json, missing_field, wrong_type, not_finite, instruction_too_long). The error carries
    the client's request_id when that could be read. Never echoes a value of the request.
    """
    return parse_fields(json_object(body))


def parse_fields(fields: Mapping[str, Any]) -> ActRequest:
    """Check what was read, whichever way it was written; raises like `parse_act`."""
    request_id = identifier_of(fields, "request_id")
    try:
        return _act_request(fields, request_id)
    except ServiceError as exc:
        exc.request_id = request_id
        raise


def _act_request(fields: Mapping[str, Any], request_id: str | None) -> ActRequest:
    image, images = _images(fields)
    return ActRequest(
        instruction=checked_instruction(_required(fields, "instruction")),
        state=state_of(fields),
        image=image,
        images=images,
        episode_id=identifier_of(fields, "episode_id"),
        request_id=request_id or random_uuid(),
        resendable=request_id is not None,
        seed=_seed(fields),
        executed_steps=parse_steps(fields, "executed_steps"),
        inference_delay_steps=parse_steps(fields, "inference_delay_steps"),
        prev_actions=parse_prev_actions(fields),
    )


def parse_large_act(body: bytes | bytearray) -> ActRequest:
    """`parse_act` for a body too long for the event loop. A parser holds every thread up, so its work is bounded."""
    refuse_many_numbers(body)
    return parse_act(body)


def refuse_many_numbers(body: bytes | bytearray | str) -> None:
    """Before the body, or a frame of text, is parsed: raises `ServiceError` image_too_large."""
    commas = body.count(",") if isinstance(body, str) else body.count(b",")
    if commas > MAX_NUMBERS:
        raise refuse(
            "image_too_large", f"arrays may hold at most {MAX_NUMBERS} numbers; send images as JPEG", limit=MAX_NUMBERS
        )


def deadline_ms_of(fields: Mapping[str, Any], default: float) -> float:
    """The field `deadline_ms` of a message on a WebSocket, in milliseconds; `default` when it is absent."""
    value = fields.get("deadline_ms")
    if value is None:
        return default
    if type(value) not in (int, float) or not MIN_DEADLINE_MS <= value <= MAX_DEADLINE_MS:
        allowed = f"a number of milliseconds from {MIN_DEADLINE_MS} to {MAX_DEADLINE_MS}"
        raise refuse("wrong_type", f"deadline_ms must be {allowed}", field="deadline_ms")
    return float(value)


def parse_deadline_ms(header: str | None) -> float:
    """`X-Reflex-Deadline-Ms` in milliseconds; the default when the header is absent."""
    if header is None:
        return DEFAULT_DEADLINE_MS
    # float() takes 'nan', '1_0' and blanks, none of which a client means.
    plain = header.isascii() and header.replace(".", "", 1).isdigit() and len(header) <= 16
    value = float(header) if plain else math.nan
    if not MIN_DEADLINE_MS <= value <= MAX_DEADLINE_MS:
        allowed = f"a number of milliseconds from {MIN_DEADLINE_MS} to {MAX_DEADLINE_MS}"
        raise refuse("wrong_type", f"{DEADLINE_HEADER} must be {allowed}")
    return value


def json_object(body: bytes | bytearray) -> Mapping[str, Any]:
    """Raises `ServiceError` invalid_json, not_finite or wrong_type for anything else."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _why_not_json(body) from None
    if not isinstance(parsed, dict):
        raise refuse("wrong_type", "the body must be a JSON object", field="body")
    return parsed


def _why_not_json(body: bytes | bytearray) -> ServiceError:
    """NaN and Infinity are what most encoders write by mistake: tell them apart from broken JSON."""
    if len(body) <= EXPLAIN_LIMIT_BYTES:
        infinite: list[str] = []

        def number(text: str) -> None:
            if math.isinf(float(text)):
                infinite.append(text)

        try:
            # As text: of bytes, json would take UTF-16, UTF-32 and a byte order mark too.
            json.loads(body.decode(), parse_constant=infinite.append, parse_float=number, parse_int=number)
        except (ValueError, RecursionError):
            infinite.clear()
        if infinite:
            return refuse("not_finite", "numbers must be finite; NaN, Infinity and 1e999 are no numbers in JSON")
    return refuse("invalid_json", "the body must be JSON in UTF-8 (RFC 8259)")


def checked_instruction(value: object) -> str:
    """The instruction that was said; raises `ServiceError` wrong_type or instruction_too_long."""
    if not isinstance(value, str):
        raise refuse("wrong_type", "instruction must be a string", field="instruction")
    if len(value) > MAX_INSTRUCTION_CHARACTERS:
        raise refuse(
            "instruction_too_long",
            f"instruction may have at most {MAX_INSTRUCTION_CHARACTERS} characters",
            limit=MAX_INSTRUCTION_CHARACTERS,
        )
    return value


def state_of(fields: Mapping[str, Any]) -> tuple[float, ...]:
    """The field `state`; raises `ServiceError` missing_field, wrong_type or not_finite."""
    value = _required(fields, "state")
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "fiu":
        value = value.tolist()
    if not isinstance(value, list):
        raise refuse("wrong_type", "state must be an array of numbers", field="state")
    for index, item in enumerate(value):
        if type(item) is not float and type(item) is not int:
            raise refuse("wrong_type", f"state[{index}] must be a number", field="state", index=index)
        if not -LARGEST_STATE <= item <= LARGEST_STATE:
            raise refuse("not_finite", f"state[{index}] must be finite, within ±1e9", field="state", index=index)
    return tuple(value)


def _images(fields: Mapping[str, Any]) -> tuple[ImageSource | None, Mapping[str, ImageSource] | None]:
    encoded = _image_source(fields.get("image_b64"), "image_b64", arrays=False)
    image = _image_source(fields.get("image"), "image", arrays=True)
    by_camera = fields.get("images")
    if sum(given is not None for given in (encoded, image, by_camera)) > 1:
        raise refuse("wrong_type", "send only one of image_b64, image and images", field="images")
    if by_camera is None:
        return (image if encoded is None else encoded), None
    if not isinstance(by_camera, dict):
        raise refuse("wrong_type", "images must be an object from camera name to base64", field="images")
    sources = {name: _image_source(value, "images", arrays=False) for name, value in by_camera.items()}
    return None, {name: source for name, source in sources.items() if source is not None}


def _image_source(value: object, field: str, *, arrays: bool) -> ImageSource | None:
    """Null and the empty string both mean: no image. JSON has neither bytes nor arrays of numpy."""
    if isinstance(value, (str, bytes)):
        return value or None
    if value is None or isinstance(value, np.ndarray) or (arrays and isinstance(value, list)):
        return value
    raise refuse("wrong_type", f"{field} must be base64 text" + (" or an H x W x 3 array" * arrays), field=field)


def identifier_of(fields: Mapping[str, Any], name: str) -> str | None:
    """The field `name`, None where it is absent; raises `ServiceError` wrong_type."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_CHARACTERS or not value.isprintable():
        raise refuse(
            "wrong_type", f"{name} must be a string of 1 to {MAX_ID_CHARACTERS} printable characters", field=name
        )
    return value


def _seed(fields: Mapping[str, Any]) -> int | None:
    value = fields.get("seed")
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)  # JSON has one kind of number: 7.0 is 7
    if type(value) is not int or not 0 <= value <= MAX_SEED:
        raise refuse("wrong_type", "seed must be an integer from 0 to 2^63 - 1", field="seed")
    return value


def _required(fields: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    value = fields.get(name)
    if value is None:
        raise refuse("missing_field", f"{name} is required", field=name)
    return value
