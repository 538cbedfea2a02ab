"""From a checked request to the tensors of one inference, for one policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from reflex.policy_config import PolicyConfig
from reflex_frontend.gateway import RawTensor
from reflex_frontend.images import Pixels
from reflex_frontend.prompt import Prompt
from reflex_frontend.request import ActRequest, ImageSource, refuse

__all__ = ["NoiseSource", "camera_sources", "check_state", "observation_tensors"]

ABSENT_PIXELS: Final = np.zeros((1, 1, 3), np.uint8)


def check_state(request: ActRequest, state_dim: int) -> None:
    """The state must have the embodiment's length: a shorter one moves the wrong joints."""
    if len(request.state) != state_dim:
        raise refuse(
            "state_dim_mismatch",
            f"state must have {state_dim} values for this embodiment, not {len(request.state)}",
            expected=state_dim,
            received=len(request.state),
        )


def camera_sources(request: ActRequest, config: PolicyConfig) -> Mapping[str, ImageSource]:
    """The images by camera name; every required camera is there, and nothing that the policy does not know."""
    names = [camera.name for camera in config.cameras]
    sources = dict(request.images or {})
    if request.image is not None:
        sources = {names[0]: request.image}
    if any(name not in names for name in sources):
        raise refuse("unknown_camera", f"this policy has the cameras {', '.join(names)}", cameras=names)
    missing = [camera.name for camera in config.cameras if camera.required and camera.name not in sources]
    if missing and not sources:
        raise refuse("image_required", f"this policy needs an image of {', '.join(missing)}", cameras=missing)
    if missing:
        raise refuse("missing_camera", f"this policy also needs an image of {', '.join(missing)}", cameras=missing)
    return sources


def observation_tensors(
    config: PolicyConfig, request: ActRequest, pixels: Mapping[str, Pixels], prompt: Prompt, noise: bytes
) -> list[RawTensor]:
    """The ensemble's inputs in the order of reflex_config.json's contract, each with a batch axis of one."""
    tensors = [_image_tensor(camera.name, pixels.get(camera.name, ABSENT_PIXELS)) for camera in config.cameras]
    mask = bytes(camera.name in pixels for camera in config.cameras)
    state = np.asarray(request.state, np.float32).tobytes()
    length = config.prompt.max_tokens
    return [
        *tensors,
        RawTensor("camera_mask", "BOOL", (1, len(config.cameras)), mask),
        RawTensor("state", "FP32", (1, config.state_dim), state),
        RawTensor("tokens", "INT64", (1, length), prompt.tokens),
        RawTensor("token_mask", "BOOL", (1, length), prompt.token_mask),
        RawTensor("noise", "FP32", (1, config.horizon, config.noise_dim), noise),
    ]


@dataclass(frozen=True)
class NoiseSource:
    """Where denoising begins: standard normal float32 [horizon, noise_dim], as raw bytes."""

    horizon: int
    noise_dim: int
    _fresh: np.random.Generator = field(default_factory=np.random.default_rng)

    def draw(self, seed: int | None) -> bytes:
        """Fresh noise, or with a seed the same noise on every machine and version.

        The seeded stream is RandomState's, which is frozen for good (NEP 19); that of the faster Generator is not.
        """
        shape = (self.horizon, self.noise_dim)
        if seed is None:
            return self._fresh.standard_normal(shape, np.float32).tobytes()
        frozen = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
        return frozen.standard_normal(shape).astype(np.float32).tobytes()


def _image_tensor(camera: str, pixels: Pixels) -> RawTensor:
    return RawTensor(f"image.{camera}", "UINT8", (1, *pixels.shape), pixels.tobytes())
