"""From a checked request to the tensors of one inference, for one policy."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from reflex.policy_config import PolicyConfig, TensorConfig
from reflex.wording.nouns import counted, named
from reflex_frontend.observation.guidance import Guidance
from reflex_frontend.observation.images import Pixels
from reflex_frontend.observation.prompt import Prompt
from reflex_frontend.observation.request import ActRequest, ImageSource, refuse
from reflex_frontend.triton.gateway import RawTensor

__all__ = ["NoiseSource", "camera_sources", "check_state", "check_steps", "observation_tensors"]

IMAGE_PREFIX: Final = "image."
GUIDANCE_INPUTS: Final = frozenset({"prev_chunk", "rtc_weights", "rtc_max_guidance"})
NOISE_INPUTS: Final = frozenset({"noise", "step_noise"})
SEED_BITS: Final = 63
ABSENT_PIXELS: Final = np.zeros((1, 1, 3), np.uint8)


class HasState(Protocol):
    """A request of any kind."""

    @property
    def state(self) -> Sequence[float]: ...


def check_state(request: HasState, state_dim: int) -> None:
    """The state must have the embodiment's length: a shorter one moves the wrong joints."""
    if len(request.state) != state_dim:
        raise refuse(
            "state_dim_mismatch",
            f"state must have {counted(state_dim, 'value')} for this embodiment, not {len(request.state)}",
            expected=state_dim,
            received=len(request.state),
        )


def check_steps(request: ActRequest, config: PolicyConfig) -> None:
    """What is said of a chunk must be possible for this policy's chunks."""
    rows = request.prev_actions
    counts = {
        "executed_steps": request.executed_steps,
        "inference_delay_steps": request.inference_delay_steps,
        "prev_actions": None if rows is None else len(rows),
    }
    for name, count in counts.items():
        if count is not None and count > config.horizon:
            said = f"{name} says {counted(count, 'action')}; this policy's chunks have {config.horizon}"
            raise refuse("chunk_mismatch", said, field=name, limit=config.horizon, received=count)
    for row in rows or ():
        if len(row) != config.action_dim:
            said = f"an action of this policy has {counted(config.action_dim, 'value')}, not {len(row)}"
            expected = config.action_dim
            raise refuse("chunk_mismatch", said, field="prev_actions", expected=expected, received=len(row))


def camera_sources(request: ActRequest, config: PolicyConfig) -> Mapping[str, ImageSource]:
    """The images by camera name; every required camera is there, and nothing that the policy does not know."""
    names = [camera.name for camera in config.cameras]
    sources = dict(request.images or {})
    if request.image is not None:
        sources = {names[0]: request.image}
    if any(name not in names for name in sources):
        raise refuse("unknown_camera", f"this policy has {named('camera', names)}", cameras=names)
    missing = [camera.name for camera in config.cameras if camera.required and camera.name not in sources]
    if missing and not sources:
        raise refuse("image_required", f"this policy needs an image of {', '.join(missing)}", cameras=missing)
    if missing:
        raise refuse("missing_camera", f"this policy also needs an image of {', '.join(missing)}", cameras=missing)
    return sources


def observation_tensors(
    config: PolicyConfig,
    request: ActRequest,
    pixels: Mapping[str, Pixels],
    prompt: Prompt | None,
    noise: NoiseSource,
    guidance: Guidance | None = None,
) -> list[RawTensor]:
    """The ensemble's inputs in the order of its config, each with a batch axis of one."""
    tensors = []
    for tensor in config.inputs:
        if tensor.name.startswith(IMAGE_PREFIX):
            image = pixels.get(tensor.name.removeprefix(IMAGE_PREFIX), ABSENT_PIXELS)
            _check_image_size(tensor, image)
            tensors.append(RawTensor(tensor.name, "UINT8", (1, *image.shape), np.ascontiguousarray(image).data))
        elif guidance is not None and tensor.name in GUIDANCE_INPUTS:
            tensors.append(RawTensor(tensor.name, tensor.datatype, (1, *tensor.shape), guidance.tensor(tensor)))
        else:
            data = _input_bytes(tensor, config, request, pixels, prompt, noise)
            tensors.append(RawTensor(tensor.name, tensor.datatype, (1, *tensor.shape), data))
    return tensors


def _check_image_size(tensor: TensorConfig, image: Pixels) -> None:
    """Some policies scale nothing: they take pictures of the size they were trained on, and no other."""
    height, width = tensor.shape[0], tensor.shape[1]
    if height not in (-1, image.shape[0]) or width not in (-1, image.shape[1]):
        raise refuse(
            "invalid_image",
            f"{tensor.name.removeprefix(IMAGE_PREFIX)} must be {width} x {height} pixels for this policy",
            width=width,
            height=height,
        )


def _input_bytes(
    tensor: TensorConfig,
    config: PolicyConfig,
    request: ActRequest,
    pixels: Mapping[str, Pixels],
    prompt: Prompt | None,
    noise: NoiseSource,
) -> bytes:
    match tensor.name:
        case "state":
            return np.asarray(request.state, np.float32).tobytes()
        case "camera_mask":
            return bytes(camera.name in pixels for camera in config.cameras)
        case "tokens" if prompt:
            return prompt.tokens
        case "token_mask" if prompt:
            return prompt.token_mask
        case "noise" | "step_noise":
            return noise.draw(tensor.shape, request.seed, stream=tensor.name)
        case _:
            # Real-time chunking without a chunk before: zero weights change nothing.
            return bytes(4 * math.prod(tensor.shape))


@dataclass
class NoiseSource:
    """Where denoising begins: standard normal float32, as raw bytes."""

    _fresh: np.random.Generator = field(default_factory=np.random.default_rng)
    _prepared: dict[tuple[int, str, tuple[int, ...]], bytes] = field(default_factory=dict)
    _next_seed: int | None = None

    def draw(self, shape: Sequence[int], seed: int | None, *, stream: str = "noise") -> bytes:
        """Fresh noise, or with a seed the same noise on every machine and version, another one for each stream."""
        if seed is None:
            return self._fresh.standard_normal(tuple(shape), np.float32).tobytes()
        prepared = self._prepared.pop((seed, stream, tuple(shape)), None)
        return _seeded(shape, seed, stream) if prepared is None else prepared

    def next_seed(self) -> int:
        """A seed for a request that came without one and shall be repeatable."""
        seed, self._next_seed = self._next_seed, None
        return random.getrandbits(SEED_BITS) if seed is None else seed

    def prepare(self, inputs: Sequence[TensorConfig]) -> None:
        """Make the noise of the next seed while nobody waits: 0.1 to 0.2 ms that the next request need not spend."""
        if self._next_seed is not None:
            return
        self._next_seed = random.getrandbits(SEED_BITS)
        self._prepared = {
            (self._next_seed, tensor.name, tensor.shape): _seeded(tensor.shape, self._next_seed, tensor.name)
            for tensor in inputs
            if tensor.name in NOISE_INPUTS
        }


def _seeded(shape: Sequence[int], seed: int, stream: str) -> bytes:
    """The stream is RandomState's, which is frozen for good (NEP 19); that of the faster Generator is not."""
    entropy = seed if stream == "noise" else [seed, *stream.encode()]
    frozen = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(entropy)))
    return frozen.standard_normal(tuple(shape)).astype(np.float32).tobytes()
