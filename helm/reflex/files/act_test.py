"""`helm test`: one observation that fits the policy, one chunk back, and a look at the numbers in it.

Usage: act_test.py URL. The key of a client, if the server wants one, is in REFLEX_TEST_API_KEY.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
from PIL import Image

DEADLINE_MS: Final = 10_000
SIDE_PIXELS: Final = 224
"""Of a picture, where the policy takes any size."""
UNAUTHORIZED: Final = 401

log = logging.getLogger("act-test")


def main(arguments: Sequence[str]) -> int:
    """0 when a finite chunk of the policy's own shape came back."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    key = os.environ.get("REFLEX_TEST_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=arguments[1], headers=headers, timeout=30.0) as client:
        problem = first_problem(client)
    if problem is not None:
        log.error("FAILED: %s", problem)
        return 1
    log.info("passed: %s answers /act", arguments[1])
    return 0


def first_problem(client: httpx.Client) -> str | None:
    """What is wrong, and what to do; None when nothing is."""
    try:
        config = client.get("/config")
        if config.status_code == UNAUTHORIZED:
            return "the server wants an API key; set tests.apiKeySecret to a secret with one under `api-key`"
        policy = config.raise_for_status().json()
        answer = client.post("/act", json=observation(policy), headers={"X-Reflex-Deadline-Ms": str(DEADLINE_MS)})
    except httpx.HTTPError as exc:
        return f"{type(exc).__name__} {exc}; is the pod ready? kubectl get pods"
    if answer.status_code == UNAUTHORIZED:
        return "the API key is not one of the server's; look at tests.apiKeySecret"
    if not answer.is_success:
        return f"/act answered {answer.status_code}: {answer.text}"
    return wrong_chunk(policy, answer.json())


def observation(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Grey pictures, a state of zeros, and an instruction where the policy takes one; JSON for /act."""
    cameras = [camera["name"] for camera in policy["cameras"]]
    body: dict[str, Any] = {
        "instruction": "stand still" if policy.get("prompt") else "",
        "state": [0.0] * policy["state_dim"],
        "seed": 0,
    }
    if cameras:
        body["images"] = {name: grey_picture(*size_of(policy, name)) for name in cameras}
    return body


def size_of(policy: Mapping[str, Any], camera: str) -> tuple[int, int]:
    """Width and height in pixels that the camera's input takes."""
    shapes = {tensor["name"]: tensor["shape"] for tensor in policy["inputs"]}
    height, width = shapes.get(f"image.{camera}", [-1, -1])[:2]
    return (width if width > 0 else SIDE_PIXELS, height if height > 0 else SIDE_PIXELS)


def grey_picture(width: int, height: int) -> str:
    """A JPEG in base64."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (128, 128, 128)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def wrong_chunk(policy: Mapping[str, Any], answer: Mapping[str, Any]) -> str | None:
    """None for `horizon` finite actions of `action_dim` values."""
    actions = answer["actions"]
    shape = [policy["horizon"], policy["action_dim"]]
    if [len(actions), *{len(action) for action in actions}] != shape:
        return f"the chunk is not of the policy's shape {json.dumps(shape)}"
    if not all(math.isfinite(value) for action in actions for value in action):
        return "the chunk holds a value that is not finite"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv))
