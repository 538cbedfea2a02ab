"""`ready` means warm: the first answer takes no longer than the next ones."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import tritonclient.grpc as triton_grpc

from support.bodies import valid_body
from support.promise import Promise
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S

MODELS = {"": ("demo",), "1": ("demo_preprocess", "demo_encoder", "demo_denoise")}
"""What has processes, by whether ensembles are kept."""


@pytest.fixture(params=MODELS, ids=["in one process", "kept"])
def kept(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fresh(kept: str) -> Iterator[ServerProcess]:
    """A server that nobody has asked anything."""
    with running_server(env={"REFLEX_KEEP_ENSEMBLES": kept} if kept else {}) as server:
        yield server


def instances_and_runs(address: str, models: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    client = triton_grpc.InferenceServerClient(address)
    try:
        return {model: _instances_and_runs(client, model) for model in models}
    finally:
        client.close()


def _instances_and_runs(client: Any, model: str) -> tuple[int, int]:
    groups = client.get_model_config(model).config.instance_group
    (statistics_of_model,) = client.get_inference_statistics(model).model_stats
    return sum(group.count for group in groups), statistics_of_model.execution_count


@pytest.mark.slow
def test_the_first_answer_after_ready_takes_no_longer_than_the_next(
    fresh: ServerProcess, kept: str, promise: Promise
) -> None:
    models = MODELS[kept]
    counted = instances_and_runs(fresh.triton_address(), models)
    with httpx.Client(base_url=fresh.base_url, timeout=HANGS_S) as client:
        took_ms = [client.post("/act", json=valid_body()).json()["latency_ms"] for _ in range(21)]

    assert {model: instances for model, (instances, _) in counted.items()} == dict.fromkeys(models, 2)
    assert all(runs >= 2 * instances for instances, runs in counted.values()), counted
    promise("the first answer after `ready`", took_ms[0] / statistics.median(took_ms[1:]), at_most=2, unit="x")
