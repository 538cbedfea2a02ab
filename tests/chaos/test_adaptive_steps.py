"""Adaptive denoising steps with a real export on real Triton."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reflex.client import ReflexClient
from support.nonce_server import one_process_each
from support.server import running_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STEPS = ("--steps", "6", "--steps", "3", "--steps", "2")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    checkpoint, named = str(ROOT / "export" / "demo_checkpoint"), ("--name", "demo", "--embodiment", "franka")
    command = [sys.executable, "-m", "reflex.cli", "export", checkpoint, "--repository", str(folder), *named]
    subprocess.run([*command, *STEPS, "--untrained", "--no-check"], check=True, capture_output=True)
    one_process_each(folder)
    return folder


def test_an_episode_takes_fewer_steps_and_its_chunks_continue_each_other(repository: Path) -> None:
    options = ("--model-repository", str(repository), "--policy", "demo", "--rtc", "--tell-velocity-change")
    adaptive = ("--adaptive-steps", "--adaptive-tolerance", "1", "--prefix-cache-mb", "10")
    with (
        running_server(*options, *adaptive) as server,
        ReflexClient(server.base_url, deadline_s=10) as client,
    ):
        episode = client.episode("e", instruction="pick up the red cup")
        image = np.zeros((48, 64, 3), np.uint8)
        answers = [episode.act(image=image, state=[0.1] * 6, executed_steps=5) for _ in range(8)]
        first = client.episode("f", instruction="pick up the red cup").act(image=image, state=[0.1] * 6)
    taken = [answer["denoising_steps"] for answer in answers]
    assert taken == [6, 6, 6, 3, 3, 3, 2, 2]
    assert [len(answer["velocity_change"]) for answer in answers] == taken
    assert [answer["rtc_applied"] for answer in answers] == [False] + [True] * 7
    assert first["denoising_steps"] == 6
    assert [answer["cache_hit"] for answer in answers] == [False] + [True] * 7, "the variants share their encoder"
