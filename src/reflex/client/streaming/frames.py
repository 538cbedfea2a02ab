"""The frames of a stream as bytes: what a client sends, and what it may trust of what a server sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from reflex.client.acting import finite_state
from reflex.client.images import ImageInput, image_file
from reflex.errors import TransportError, service_error
from reflex.wire import MAX_BODY_BYTES
from reflex.wire.arrays import read_arrays
from reflex.wire.packing import pack, unpack
from reflex.wire.stream import HelloFrame

__all__ = ["encode_hello", "encode_observation", "observed", "read_frame", "told"]

NUMBERS: Final = "fiu"
"""What numpy calls numbers."""
BROKEN: Final = "and was dropped; is this a Reflex server, and of this version?"


def observed(
    state: Iterable[float],
    images: Mapping[str, ImageInput] | ImageInput | None,
    cameras: Mapping[str, str] | None,
) -> dict[str, Any]:
    """State and images as a frame carries them. Takes milliseconds for raw pixels.

    One image is that of the policy's first camera. `cameras` maps the names of `images` to those of the policy, and
    all of them must be there.
    """
    fields: dict[str, Any] = {"state": finite_state(state)}
    if isinstance(images, Mapping):
        fields["images"] = {name: image_file(image) for name, image in _renamed(images, cameras).items()}
    elif images is not None and cameras is not None and len(cameras) > 1:
        raise service_error("missing_camera", f"images must be a dict of the cameras {sorted(cameras)}")
    elif images is not None:
        fields["image"] = image_file(images)
    elif cameras:
        raise service_error("missing_camera", f"there are no images; the stream's cameras are {sorted(cameras)}")
    return fields


def told(instruction: str | None) -> dict[str, str]:
    """An observation's own instruction, which counts in place of the stream's."""
    return {} if instruction is None else {"instruction": instruction}


def encode_observation(seq: int, fields: Mapping[str, Any]) -> bytes:
    """The frame of an observation; `InvalidRequestError` when it is longer than a server reads."""
    frame = pack({"type": "observation", "seq": seq, **fields})
    if len(frame) > MAX_BODY_BYTES:
        raise service_error("payload_too_large", "the observation is more than 8 MiB; make its images smaller")
    return frame


def encode_hello(hello: HelloFrame) -> bytes:
    return pack(hello)


def read_frame(data: bytes | str) -> dict[str, Any]:
    """A server's frame, a chunk with `actions` as a finite float32 array; `TransportError` for what is none."""
    if isinstance(data, str):
        raise TransportError(f"the server sent text {BROKEN}")
    try:
        frame, _ = read_arrays(unpack(data))
    except ValueError as exc:
        raise TransportError(f"the server sent what is no frame {BROKEN}") from exc
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise TransportError(f"the server sent what is no frame {BROKEN}")
    if frame["type"] == "chunk":
        frame["actions"] = _actions(frame)
    return frame


def _actions(frame: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The one field that moves a motor."""
    try:
        given = np.asarray(frame.get("actions"))
        actions = given.astype(np.float32) if given.dtype.kind in NUMBERS else np.empty(0, np.float32)
    except ValueError as exc:
        raise TransportError(f"the server sent actions that are no array of numbers {BROKEN}") from exc
    shape = (frame.get("num_actions"), frame.get("action_dim"))
    if actions.ndim != 2 or actions.shape != shape or not actions.size or not np.isfinite(actions).all():
        raise TransportError(f"the server sent no finite chunk of the shape that it names {BROKEN}")
    return actions


def _renamed(images: Mapping[str, ImageInput], cameras: Mapping[str, str] | None) -> Mapping[str, ImageInput]:
    if cameras is None:
        return images
    if images.keys() != cameras.keys():
        raise service_error(
            "missing_camera", f"images has the cameras {sorted(images)}, and the stream was made for {sorted(cameras)}"
        )
    return {cameras[name]: image for name, image in images.items()}
