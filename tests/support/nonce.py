"""Requests for the nonce policy, and whether an answer is the one to its request.

The policy puts state[0], state[1] and the image's top left red into every step of its chunk: an answer that is stale,
swapped or made without the image cannot pass `is_right`.
"""

from __future__ import annotations

import base64
import functools
import io
import struct
from collections.abc import Mapping
from typing import Final

import orjson
from PIL import Image

__all__ = ["HORIZON", "act_body", "is_right", "jpeg_b64"]

HORIZON: Final = 50
ACTION_DIM: Final = 7
RED_LEVEL: Final = 255
JPEG_LOSS: Final = 0.02
"""A flat red image comes back from JPEG with a few levels of difference."""


@functools.cache
def jpeg_b64(size: int = 64) -> str:
    """A flat red square, as /act wants it."""
    encoded = io.BytesIO()
    Image.new("RGB", (size, size), (RED_LEVEL, 0, 0)).save(encoded, "JPEG")
    return base64.b64encode(encoded.getvalue()).decode()


def act_body(nonce: float, *, image_size: int = 64, **fields: object) -> bytes:
    """A whole request of /act whose answer must carry `nonce`."""
    return orjson.dumps(
        {
            "instruction": "pick up the red cup",
            "state": [nonce, -nonce / 2, 0.0, 0.0, 0.0, 0.0],
            "image_b64": jpeg_b64(image_size),
            **fields,
        }
    )


def is_right(body: bytes, nonce: float) -> bool:
    """Whether a 200's body is the chunk for this nonce, in every step."""
    answer: Mapping[str, object] = orjson.loads(body)
    actions = answer["actions"]
    return (
        isinstance(actions, list)
        and len(actions) == answer["num_actions"] == HORIZON
        and all(_is_step_of(step, nonce) for step in actions)
    )


def _is_step_of(step: list[float], nonce: float) -> bool:
    return (
        len(step) == ACTION_DIM
        and _as_float32(step[0]) == _as_float32(nonce)
        and _as_float32(step[1]) == _as_float32(-nonce / 2)
        and abs(step[2] - RED_LEVEL / 255) < JPEG_LOSS
        and not any(step[3:])
    )


def _as_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])
