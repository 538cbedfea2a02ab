"""The observation that the benchmark sends: once as /act's JSON, once as the tensors that the frontend makes of it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from reflex_bench.http_load import http_request
from reflex_frontend.observation.images import decode_image
from reflex_frontend.observation.observation import NoiseSource, observation_tensors
from reflex_frontend.observation.request import parse_act
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.triton.gateway import RawTensor

__all__ = ["INSTRUCTION", "SIDE_PX", "act_request", "act_tensors", "jpeg_base64"]

SIDE_PX = 224
INSTRUCTION = "pick up the red cup"
NO_FIELDS: Mapping[str, object] = MappingProxyType({})


def jpeg_base64(side_px: int = SIDE_PX) -> str:
    """A photograph-like JPEG of about 10 kB at 224 px: smooth shapes with some grain, reproducible."""
    noise = np.random.RandomState(0)
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    channels = [np.sin(6 * x + k) * np.cos(5 * y - k) * 90 + 128 + noise.normal(0, 6, x.shape) for k in range(3)]
    pixels = np.stack(channels, axis=2).clip(0, 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=85)
    return base64.b64encode(encoded.getvalue()).decode()


def _body(nonce: float, image: str, fields: Mapping[str, object] = NO_FIELDS) -> bytes:
    state = [nonce, 0.5, 0.0, 0.0, 0.0, 0.0]
    return json.dumps({"instruction": INSTRUCTION, "state": state, "image_b64": image, **fields}).encode()


def act_request(
    nonce: float,
    image: str,
    deadline_ms: int = 10_000,
    headers: Mapping[str, str] | None = None,
    fields: Mapping[str, object] = NO_FIELDS,
) -> bytes:
    """The whole HTTP request, ready to be written to a socket; `fields` are further ones of its body."""
    deadline = {"x-reflex-deadline-ms": str(deadline_ms)}
    return http_request("POST", "/act", _body(nonce, image, fields), {**deadline, **(headers or {})})


def act_tensors(policy: ServedPolicy, nonce: float, image: str) -> list[RawTensor]:
    """The same request as the ensemble's inputs."""
    request = parse_act(_body(nonce, image))
    camera = policy.config.cameras[0].name
    prompt = policy.prompts.encode(request.instruction, request.state) if policy.prompts else None
    return observation_tensors(policy.config, request, {camera: decode_image(image)}, prompt, NoiseSource())
