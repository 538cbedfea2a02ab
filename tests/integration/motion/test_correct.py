"""`reflex serve --a2c2-checkpoint` over a real socket: how quick a correction is, and what is refused at the start."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex.client import ReflexClient
from reflex.embodiments import load_embodiment
from reflex.policy_config import PolicyConfig, read_policy_config
from support.motion.heads import head_for, record, written
from support.promise import Promise
from support.server import ServerProcess, running_server

REPOSITORY = Path(__file__).parents[3] / "model_repository"
ROUNDS, CALLS = 8, 25


def demo() -> PolicyConfig:
    return read_policy_config(REPOSITORY / "demo")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    config = demo()
    embodiment = load_embodiment(config.embodiment)
    head = head_for(
        config.state_dim, embodiment.action_names, constant=0.01, policy_hash=config.policy_hash,
        control_hz=embodiment.control_hz, training=record(config.action_dim),
    )  # fmt: skip
    path = written(tmp_path_factory.mktemp("head"), head)
    with running_server("--a2c2-checkpoint", str(path)) as running:
        yield running


@pytest.mark.slow
def test_a_correction_takes_less_than_5_ms_at_the_median(server: ServerProcess, promise: Promise) -> None:
    config = demo()
    rest = [[0.0] * config.action_dim] * (config.horizon - 5)
    state = list(load_embodiment(config.embodiment).mean_state)
    alone_s: list[float] = []
    with ReflexClient(server.base_url) as client:

        def corrected_s() -> float:
            began = time.perf_counter()
            answer = client.correct(state=state, actions=rest, position=5)
            assert answer["a2c2_applied"] is True
            return time.perf_counter() - began

        for _ in range(ROUNDS):
            with promise.beside_neighbours() as neighbours:
                median_s = statistics.median(corrected_s() for _ in range(CALLS))
            alone_s.append(neighbours.without(median_s))

    promise("the median POST /act/correct takes 5 ms", statistics.median(alone_s), at_most=0.005)
