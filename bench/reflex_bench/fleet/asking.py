"""What a robot of the fleet sends: an observation that the served policy takes, whichever it is."""

from __future__ import annotations

import base64
import io
import json
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from PIL import Image

from reflex_bench.fleet.robots import Robot
from reflex_bench.http_load import Answer, http_request
from reflex_bench.observation import INSTRUCTION, SIDE_PX, jpeg_base64

__all__ = ["Asking", "asking_of"]

TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class Asking:
    """Requests of one policy. With `has_nonce` the answer must hold the robot's number, which is in the state."""

    fields: dict[str, Any]
    state: list[float]
    has_nonce: bool = False
    _bodies: dict[int, bytes] = field(default_factory=dict)

    def request(self, robot: Robot, deadline_ms: int) -> bytes:
        """Whole, ready to be written to a socket."""
        if robot.number not in self._bodies:
            nonce = [float(robot.number)] if self.has_nonce else []
            state = [*nonce, *self.state[len(nonce) :]]
            self._bodies[robot.number] = json.dumps({**self.fields, "state": state}).encode()
        headers = {"x-reflex-deadline-ms": str(deadline_ms)}
        return http_request("POST", "/act", self._bodies[robot.number], headers)

    def is_right(self, robot: Robot, answer: Answer) -> bool:
        expected = b'{"actions":[[%d.0,' % robot.number if self.has_nonce else b'{"actions":[['
        return answer.status == 200 and answer.body.startswith(expected)


def asking_of(port: int, *, has_nonce: bool = False) -> Asking:
    """By what the server says of its policy."""
    config = _get(port, "/config")
    known = _get(port, "/v1/actions/metadata")
    images = {key: _picture(known["image_sizes"].get(key)) for key in known["image_keys"]}
    fields = {"instruction": INSTRUCTION if known["needs_prompt"] else "", "images": images}
    state = [float(value) for value in config["embodiment_details"]["mean_state"]]
    return Asking(fields, state[: known["state_dim"]], has_nonce)


def _get(port: int, path: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def _picture(size: list[int] | None) -> str:
    """Height and width, or None where any will do."""
    if size is None or None in size:
        return jpeg_base64(SIDE_PX)
    encoded = io.BytesIO()
    Image.fromarray(np.zeros((size[0], size[1], 3), np.uint8)).save(encoded, "JPEG")
    return base64.b64encode(encoded.getvalue()).decode()
