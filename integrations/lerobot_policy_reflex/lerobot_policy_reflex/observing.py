"""From a batch of LeRobot to the arguments of `act`, and from an answer to a chunk."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from reflex.errors import SetupError, service_error
from reflex.wire import ActResult

__all__ = ["IMAGES", "STATE", "TASK", "Sending", "chunk_of", "left_over_rows", "observed"]

STATE: Final = "observation.state"
IMAGES: Final = "observation.images."
TASK: Final = "task"
WHITE: Final = 255

Array = npt.NDArray[np.float32]
IMAGE_ENCODINGS: Final = ("jpeg", "png")
"""PNG loses nothing, and takes several times the bytes and the time."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How an observation is sent."""

    cameras: Mapping[str, str] = field(default_factory=dict)
    """The server's camera by LeRobot's key; empty: every key that begins with `observation.images.`, without that."""
    instruction: str = ""
    """For observations that bring no task."""
    image_encoding: str = "jpeg"
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        if self.image_encoding not in IMAGE_ENCODINGS:
            raise SetupError(f"image_encoding is {self.image_encoding!r}; it is jpeg, or png, which loses nothing")
        if not 1 <= self.jpeg_quality <= 100:
            raise SetupError(f"jpeg_quality is {self.jpeg_quality}; it goes from 1 to 100")

    def camera(self, key: str) -> str | None:
        """The server's name of the camera behind this key of a batch; None for what is not sent."""
        if self.cameras:
            return self.cameras.get(key)
        return key.removeprefix(IMAGES) if key.startswith(IMAGES) else None


def observed(batch: Mapping[str, Any], row: int, sending: Sending) -> dict[str, Any]:
    """State, images and instruction of one row, as keyword arguments of `act`.

    Images are [rows, 3, height, width], from 0 to 1 or uint8. `SetupError` names what the batch lacks.
    """
    if STATE not in batch:
        raise SetupError(f"the observation has no {STATE}; map the robot's own key to it with --rename_map")
    keys = {key: name for key in batch if (name := sending.camera(key)) is not None}
    return {
        "state": batch[STATE][row],
        "images": {name: _encoded(key, batch[key][row], sending) for key, name in keys.items()} or None,
        "instruction": _instruction(batch.get(TASK), row) or sending.instruction,
    }


def left_over_rows(left_over: npt.NDArray[np.floating[Any]] | None, row: int) -> list[list[float]]:
    """What one row of a batch still had to execute, [steps][axes]: at first nothing.

    LeRobot fills what is shorter than its execution horizon up with zeros. In robot units these are no actions but a
    place, and often one that no robot may go to: they are left out.
    """
    if left_over is None:
        return []
    steps = left_over[min(row, len(left_over) - 1)] if left_over.ndim == 3 else left_over
    planned = np.flatnonzero(steps.any(axis=1))
    rows: list[list[float]] = steps[: planned[-1] + 1 if planned.size else 0].tolist()
    return rows


def chunk_of(result: ActResult, action_dim: int) -> Array:
    """[steps, action_dim] in robot units. `UnauthorizedError` when nothing may be moved by it."""
    if result.get("mode") == "dry_run":
        raise service_error(
            "session_mode",
            "this session is a dry run, so its actions must not be executed; promote it with `reflex sessions promote`",
        )
    if result["action_dim"] != action_dim:
        raise SetupError(
            f"the server's chunks have {result['action_dim']} axes, and this folder was written for {action_dim}; "
            "write it anew with `reflex lerobot-policy`"
        )
    return np.asarray(result["actions"], np.float32)


def _instruction(task: object, row: int) -> str:
    if isinstance(task, str):
        return task
    if isinstance(task, Sequence) and row < len(task):
        return str(task[row])
    return ""


def _encoded(key: str, image: npt.NDArray[Any], sending: Sending) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(_pixels(key, image))
    if sending.image_encoding == "png":
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=sending.jpeg_quality)
    return buffer.getvalue()


def _pixels(key: str, image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Height x width x 3. What LeRobot divided by 255 comes back to the bit."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise SetupError(f"{key} is {' x '.join(map(str, image.shape))}; an image is 3 x height x width")
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image.transpose(1, 2, 0))
    if not np.isfinite(image).all():
        raise SetupError(f"{key} holds values that are not finite; look at the camera")
    if image.min(initial=0.0) < 0 or image.max(initial=0.0) > 1:
        raise SetupError(f"{key} leaves the range from 0 to 1: this policy takes images before any normalisation")
    pixels: npt.NDArray[np.uint8] = np.rint(image.transpose(1, 2, 0) * WHITE).astype(np.uint8)
    return pixels
