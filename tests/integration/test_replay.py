"""A recorded server, replayed on the same policy and on one with a single other weight. Real Triton on every side.

REFLEX_REPLAY_REQUESTS sets how many requests are recorded (60).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest

from reflex.client import ReflexClient
from reflex.model_repository import model_file
from support.server import running_server
from support.waiting import HANGS_S, wait_until

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2] / "model_repository"
REQUESTS = int(os.environ.get("REFLEX_REPLAY_REQUESTS", "60"))
EPISODES = 40
CHANGED = "model.action_out_proj.weight"
RTC = ("--rtc-schedule", "exp", "--rtc-max-guidance", "6")
"""The first request of an episode continues nothing, every other one the chunk before."""
REPLAY = [sys.executable, "-m", "reflex.cli", "replay"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many requests as there are seconds for: images, states and episodes vary, no seed is sent, chunks go on."""
    folder = tmp_path_factory.mktemp("recording")
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (20, 48, 64, 3), np.uint8)
    with (
        running_server("--rtc", *RTC, "--record", str(folder), "--record-images", "full") as server,
        ReflexClient(server.base_url, deadline_s=10) as client,
    ):
        for number in range(REQUESTS):
            episode = client.episode(f"episode-{number % EPISODES}", instruction="pick up the red cup")
            is_first = number < EPISODES
            answer = episode.act(
                image=frames[number % len(frames)], state=random.normal(size=6).tolist(),
                executed_steps=0 if is_first else 7, inference_delay_steps=3,
            )  # fmt: skip
            assert answer["rtc_applied"] is not is_first
        assert server.stop() == 0
    return folder


@pytest.fixture(scope="module")
def other_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo policy with a thousandth more of one of its weights; not even its hash has been told."""
    repository = tmp_path_factory.mktemp("other") / "models"
    shutil.copytree(REPOSITORY, repository)
    path = model_file(repository, "demo_denoise")
    model = onnx.load(path)
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == CHANGED)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0] *= np.float32(1.001)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, CHANGED))
    onnx.save(model, path)
    return repository


def replay(*options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([*REPLAY, *options, "--json"], capture_output=True, text=True, timeout=250)
    return done.returncode, json.loads(done.stdout)


def test_every_request_replays_exactly_on_the_same_repository(recording: Path) -> None:
    code, found = replay(str(recording), "--against", str(REPOSITORY))

    assert code == 0
    assert (found["replayed"], found["equal"], found["max_abs"]) == (REQUESTS, REQUESTS, 0.0)
    assert found["skipped"] == found["failures"] == found["other_hashes"] == {}
    assert (found["guard_recorded"], found["guard_replayed"]) == (True, True)


def test_one_other_weight_is_found_and_a_tolerance_says_what_counts(recording: Path, other_repository: Path) -> None:
    with running_server("--rtc", *RTC, "--model-repository", str(other_repository)) as server:
        exact, found = replay(str(recording), "--against", server.base_url, "--limit", "10")
        tolerant, _ = replay(str(recording), "--against", server.base_url, "--limit", "10", "--tolerance", "0.01")

    assert (exact, tolerant) == (1, 0)
    assert found["differing"] == 10
    assert 0 < found["max_abs"] < 0.01
    assert (found["deviations"][0]["record_seq"], found["deviations"][0]["axis"]) == (1, "panda_joint1")
    assert found["guard_replayed"] is None


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_replay_that_is_stopped_leaves_no_server_behind(
    recording: Path, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*REPLAY, str(recording), "--against", str(REPOSITORY)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "REFLEX_RECORD": str(tmp_path / "not-wanted")},
    )
    try:
        children = wait_for_triton(psutil.Process(process.pid))
        process.send_signal(number)
        assert process.wait(HANGS_S) == code
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=HANGS_S)
    assert alive == []
    assert not (tmp_path / "not-wanted").exists()


def wait_for_triton(process: psutil.Process) -> list[psutil.Process]:
    children: list[psutil.Process] = []

    def is_started() -> bool:
        children[:] = process.children(recursive=True)
        return any(child.name() == "tritonserver" for child in children)

    wait_until(is_started, "a Triton is started")
    return children
