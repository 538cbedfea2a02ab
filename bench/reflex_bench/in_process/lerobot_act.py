"""Answers `POST /act` with the chunks of LeRobot itself: its policy class, its processors, and nothing of Reflex.

It imports nothing of ours, and runs in LeRobot's environment as a file:

    .lerobot/bin/python bench/reflex_bench/in_process/lerobot_act.py CHECKPOINT --port 9000
"""

from __future__ import annotations

import argparse
import base64
import binascii
import io
import json
import math
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

__all__ = ["ActServer", "Asked", "LeRobotPolicy", "Policy", "asked_of", "main", "pixels_of"]

LOOPBACK: Final = "127.0.0.1"
MOST_BYTES: Final = 8 << 20
MOST_PIXELS: Final = 4_000_000
MOST_CHARACTERS: Final = 512
CHANNELS: Final = 3
BRIGHTEST: Final = 255
IDLE_S: Final = 60
"""Of a connection on which nobody asks."""
HEALTH: Final = {"status": "ready"}
EXAMPLE: Final = "example: .lerobot/bin/python bench/reflex_bench/in_process/lerobot_act.py .train-default/averaged"
Pixels = npt.NDArray[np.uint8]
State = npt.NDArray[np.float32]


class Policy(Protocol):
    """What answers: a checkpoint, or something small in its place."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """By which the pictures are called, in the checkpoint's order."""
        ...

    @property
    def state_dim(self) -> int:
        """How many numbers a state has."""
        ...

    def chunk(self, asked: Asked) -> list[list[float]]:
        """Actions in the robot's units."""
        ...


@dataclass(frozen=True)
class Asked:
    """One observation, as it came."""

    state: State
    pictures: Mapping[str, Pixels]
    instruction: str


class LeRobotPolicy:
    """A folder as LeRobot's `save_pretrained` leaves it, on the CPU."""

    def __init__(self, checkpoint: Path, threads: int) -> None:
        import torch
        from lerobot.configs import PreTrainedConfig
        from lerobot.policies import get_policy_class, make_pre_post_processors

        torch.set_num_threads(threads)
        config = PreTrainedConfig.from_pretrained(checkpoint)
        if config.n_obs_steps != 1:
            raise ValueError(
                f"{config.type} looks at {config.n_obs_steps} observations, and is told one at a time here"
            )
        config.device = "cpu"
        self._policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config).eval()
        self._before, self._after = make_pre_post_processors(
            config, pretrained_path=str(checkpoint),
            preprocessor_overrides={"device_processor": {"device": "cpu"}},
            postprocessor_overrides={"device_processor": {"device": "cpu"}},
        )  # fmt: skip
        self._keys = {key.rpartition(".")[2]: key for key in config.image_features}
        self.cameras = tuple(self._keys)
        self.state_dim: int = config.robot_state_feature.shape[0]

    def chunk(self, asked: Asked) -> list[list[float]]:
        """As LeRobot's own loop does it, but for keeping the whole chunk."""
        import torch
        from lerobot.policies.utils import prepare_observation_for_inference

        pictures = {key: asked.pictures[name] for name, key in self._keys.items()}
        frame = prepare_observation_for_inference(
            {"observation.state": asked.state, **pictures}, torch.device("cpu"), task=asked.instruction
        )
        with torch.inference_mode():
            actions = self._after(self._policy.predict_action_chunk(self._before(frame)))
        found: list[list[float]] = actions[0].tolist()
        return found


def asked_of(body: object, policy: Policy) -> Asked:
    """The observation in the fields of `POST /act`; `ValueError` says what is wrong with it."""
    if not isinstance(body, dict):
        raise ValueError("send one JSON object, as docs/http-api.md has it")
    instruction = body.get("instruction") or ""
    if not isinstance(instruction, str) or len(instruction) > MOST_CHARACTERS:
        raise ValueError(f"instruction: send a text of at most {MOST_CHARACTERS} characters")
    return Asked(_state_of(body.get("state"), policy.state_dim), _pictures_of(body, policy.cameras), instruction)


def _state_of(given: object, state_dim: int) -> State:
    is_vector = isinstance(given, list) and len(given) == state_dim
    if not is_vector or not all(type(each) in (int, float) and math.isfinite(each) for each in given):  # type: ignore[attr-defined]
        raise ValueError(f"state: send {state_dim} finite numbers")
    return np.array(given, np.float32)


def _pictures_of(body: Mapping[str, Any], cameras: tuple[str, ...]) -> dict[str, Pixels]:
    """Pictures of further cameras are left alone."""
    images = body.get("images")
    given = dict(images) if isinstance(images, dict) else {}
    if not given and cameras:
        given[cameras[0]] = body.get("image_b64") or body.get("image")
    missing = [name for name in cameras if not given.get(name)]
    if missing:
        raise ValueError(f"images: none of {', '.join(missing)}; send one of each of {', '.join(cameras)}")
    return {name: pixels_of(name, given[name]) for name in cameras}


def pixels_of(name: str, given: object) -> Pixels:
    """Height x width x RGB of base64 of a JPEG or PNG, or of integers from 0 to 255."""
    return _decoded(name, given) if isinstance(given, str) else _array(name, given)


def _decoded(name: str, given: str) -> Pixels:
    try:
        file = io.BytesIO(base64.b64decode(given.rpartition(",")[2], validate=True))
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{name}: the picture has more than {MOST_PIXELS:,} pixels; send a smaller one")
            return np.array(image.convert("RGB"))
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as exc:
        raise ValueError(f"{name}: this is no base64 of a whole JPEG or PNG") from exc


def _array(name: str, given: object) -> Pixels:
    found = np.array(given, object)
    is_picture = found.ndim == CHANNELS and found.shape[2] == CHANNELS
    if is_picture and all(type(each) is int and 0 <= each <= BRIGHTEST for each in found.flat):
        return found.astype(np.uint8)
    raise ValueError(f"{name}: send height x width x 3 integers from 0 to 255, or base64 of a JPEG or PNG")


class ActServer(ThreadingHTTPServer):
    """On loopback alone. `policy` is asked by one request at a time."""

    daemon_threads = True

    def __init__(self, policy: Policy, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), ActHandler)
        self._policy, self._turn = policy, threading.Lock()

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # socketserver's names
        """Of a client that went away, for one."""
        print(f"lerobot_act.py: a request was not answered: {sys.exception()!r}", file=sys.stderr)

    def answer(self, content: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body for the body of `POST /act`."""
        began = time.monotonic()
        try:
            body = json.loads(content)
            asked = asked_of(body, self._policy)
        except (ValueError, RecursionError, OverflowError) as exc:
            return 400, _error("invalid_request", exc)
        try:
            with self._turn:
                actions = self._policy.chunk(asked)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as exc:
            return 500, _error("policy_failed", exc)
        told = {"request_id": body["request_id"]} if isinstance(body.get("request_id"), str) else {}
        return 200, {"actions": actions, "latency_ms": 1000 * (time.monotonic() - began), **told}


class ActHandler(BaseHTTPRequestHandler):
    """`POST /act` and `GET /health`, in JSON."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: ActServer

    def do_GET(self) -> None:  # http.server's name
        """Ready as soon as it listens."""
        self._tell(*((200, HEALTH) if self.path == "/health" else _NOWHERE))

    def do_POST(self) -> None:  # http.server's name
        """One chunk for one observation."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length[:9]) > MOST_BYTES or len(length) > 9:
            self.close_connection = True
            self._tell(413, _error("too_large", f"send a Content-Length of at most {MOST_BYTES:,} bytes"))
            return
        content = self.rfile.read(int(length))
        self._tell(*(self.server.answer(content) if self.path == "/act" else _NOWHERE))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Nothing of each request."""

    def _tell(self, status: int, told: Mapping[str, Any]) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _error(code: str, why: object) -> dict[str, Any]:
    return {"error": code, "message": " ".join(str(why).split())[:500]}


_NOWHERE: Final = (404, _error("not_found", "there are POST /act and GET /health here"))


def main(arguments: list[str] | None = None) -> int:
    """Serve a checkpoint that LeRobot runs in this very process, on this computer alone, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="lerobot_act.py", description=main.__doc__, epilog=EXAMPLE)
    parser.add_argument("checkpoint", type=Path, help="a folder with config.json, weights and LeRobot's processors")
    parser.add_argument("--port", type=int, default=9000, help="on 127.0.0.1; 0 takes a free one (default 9000)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default 1)")
    asked = parser.parse_args(arguments)
    try:
        policy = LeRobotPolicy(asked.checkpoint, asked.threads)
        server = ActServer(policy, asked.port)
    except (ImportError, LookupError, OSError, OverflowError, RuntimeError, TypeError, ValueError) as exc:
        print(f"lerobot_act.py: {' '.join(str(exc).split())}", file=sys.stderr)
        return 1
    with server:
        print(f"LeRobot answers at {server.url}/act: {asked.checkpoint}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
