"""`--profile gpu` with the CPU image standing in for NVIDIA's container: who serves, and who stands aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compose.engine import Engine
from compose.stack import Stack, running_stack

STAND_IN = """
services:
  triton-gpu:
    image: reflex-triton-cpu:${REFLEX_TAG}
    environment: {MEMORY_POOLS: --pinned-memory-pool-byte-size=0 --allow-gpu-metrics=false}
    healthcheck: {test: [CMD, python, -m, reflex_frontend.embedded, healthy], interval: 1s}
    ulimits: !reset {}
    deploy: {resources: {reservations: !reset {}}}
"""


@pytest.fixture(scope="module")
def gpu_stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    override: Path = tmp_path_factory.mktemp("compose") / "stand-in.yaml"
    override.write_text(STAND_IN)
    options = ("--file", "compose.yaml", "--file", str(override), "--profile", "gpu")
    with running_stack(engine, *options) as started:
        yield started


def test_requests_are_answered_by_the_profiles_triton_alone(gpu_stack: Stack) -> None:
    with httpx.Client() as client:
        assert gpu_stack.act(client, 1).status_code == 200

    assert (
        "triton-gpu serves; this Triton stands aside"
        in gpu_stack.engine.docker("logs", gpu_stack.engine.container("triton")["Name"].lstrip("/")).stderr
    )


def test_the_one_that_stands_aside_is_healthy_and_opens_no_port(gpu_stack: Stack) -> None:
    name = gpu_stack.engine.container("triton")["Name"].lstrip("/")
    listening = gpu_stack.engine.docker("exec", name, "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").stdout

    assert gpu_stack.engine.container("triton")["State"]["Health"]["Status"] == "healthy"
    assert f":{8001:04X} " not in listening
