"""Full-size SmolVLA on the embedded Triton: does /act answer, and in what time?

Without a GPU this is the worst case of serving: the picture of one camera costs some 240 billion operations, and the
longest deadline of /act is 10 s. So the observation is made lighter until the answer comes in time: three cameras and
ten denoising steps as published, one camera, one camera and one step. The weights are always all of them, in FP32,
which is what a CPU computes in anyway.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from reflex.policy_config import read_policy_config
from reflex_bench.exporting.cameras import with_cameras
from reflex_bench.observation import INSTRUCTION, jpeg_base64

__all__ = ["AnsweredAct", "TooSlowError", "answer_act"]

LOADS: Final = ((3, 10), (1, 10), (1, 1))
"""Cameras and denoising steps, from the heaviest."""
READY_TIMEOUT_S: Final = 180.0
STOP_TIMEOUT_S: Final = 30.0
DEADLINE_MS: Final = 10_000
WARM_REQUESTS: Final = 3
SIDE_PX: Final = 256
STATE_DIM: Final = 6


@dataclass(frozen=True, slots=True)
class AnsweredAct:
    """Seconds, seen by the client."""

    cameras: int
    steps: int
    ready_s: float
    """From starting `reflex serve` to /health saying ready."""
    first_s: float
    warm_s: float
    """The median of the requests after the first."""
    shape: tuple[int, int]
    """Of the chunk: steps and values."""

    def __str__(self) -> str:
        return (
            f"SmolVLA in full size, FP32, {self.cameras} camera(s), {self.steps} denoising step(s): ready after "
            f"{self.ready_s:.1f} s, first /act {self.first_s:.2f} s, then {self.warm_s:.2f} s, "
            f"a chunk of {self.shape[0]} x {self.shape[1]}"
        )


class TooSlowError(Exception):
    """/act answered that its deadline has passed."""


def answer_act(checkpoint: Path, scratch: Path) -> list[str]:
    """What became of each load, up to the first that was answered; `RuntimeError` when none was."""
    sentences: list[str] = []
    for cameras, steps in LOADS:
        try:
            return [*sentences, str(_answer(checkpoint, scratch, cameras, steps))]
        except TooSlowError:
            sentences.append(
                f"SmolVLA in full size, FP32, {cameras} camera(s), {steps} denoising step(s): no answer within "
                f"{DEADLINE_MS / 1000:.0f} s (504)"
            )
        finally:
            shutil.rmtree(scratch)
    raise RuntimeError("\n".join(sentences))


def _answer(checkpoint: Path, scratch: Path, cameras: int, steps: int) -> AnsweredAct:
    repository = scratch / "models"
    lean = with_cameras(checkpoint, scratch / "lean", cameras)
    command = [
        sys.executable,
        "-m",
        "reflex_bench.exporting.export_child",
        str(lean),
        str(repository),
        "fp32",
        str(steps),
    ]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    names = [camera.name for camera in read_policy_config(repository / "full").cameras]
    with _serving(repository, scratch / "serve.log") as (port, ready_s):
        times, chunks = zip(*(_timed_act(port, names) for _ in range(1 + WARM_REQUESTS)), strict=True)
    shape = (len(chunks[0]), len(chunks[0][0]))
    return AnsweredAct(cameras, steps, ready_s, times[0], statistics.median(times[1:]), shape)


@contextlib.contextmanager
def _serving(repository: Path, log: Path) -> Iterator[tuple[int, float]]:
    """`reflex serve` on a free port, ready, and the seconds that took."""
    port = _free_port()
    command = [sys.executable, "-m", "reflex.cli", "serve", "--model-repository", str(repository), "--port", str(port)]
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_ready(process, port, log)
        yield port, time.perf_counter() - started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_TIMEOUT_S)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not become ready within {READY_TIMEOUT_S:.0f} s:\n{log.read_text()}")


def _timed_act(port: int, cameras: Sequence[str]) -> tuple[float, list[list[float]]]:
    images = dict.fromkeys(cameras, jpeg_base64(SIDE_PX))
    body: dict[str, Any] = {"instruction": INSTRUCTION, "state": [0.0] * STATE_DIM, "images": images}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/act",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "X-Reflex-Deadline-Ms": str(DEADLINE_MS)},
    )
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=2 * DEADLINE_MS / 1000) as answer:
            actions: list[list[float]] = json.load(answer)["actions"]
    except urllib.error.HTTPError as exc:
        if exc.code == HTTPStatus.GATEWAY_TIMEOUT:
            raise TooSlowError from exc
        raise RuntimeError(f"/act answered {exc.code} {exc.read().decode(errors='replace')}") from exc
    return time.perf_counter() - started, actions


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
