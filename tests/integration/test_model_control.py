"""Loading and unloading on the real Triton that `reflex serve` starts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest

from reflex.model_repository import model_file
from reflex_bench.nonce_policy import DENOISE_MAX_BATCH, write_nonce_policy
from reflex_frontend.embedded.start_watch import IN_VAIN
from reflex_frontend.errors import ModelControlError
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.workers import Workers
from reflex_frontend.settings import Settings
from reflex_frontend.triton.backend import TritonBackend
from reflex_frontend.triton.model_control import TritonModelControl
from support.fakes import InlineExecutor
from support.waiting import HANGS_S, eventually

STEP_S = 2 * HANGS_S
PARTS = ("", "_preprocess", "_encoder", "_denoise")


def models_of(policy: str) -> list[str]:
    return [f"{policy}{part}" for part in PARTS]


SECOND = models_of("second")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three policies, and one whose model is damaged."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("first", "second", "stillborn", "broken"):
        write_nonce_policy(folder, name)
    model_file(folder, "broken_denoise").write_bytes(b"no model")
    return folder


Scenario = Callable[[TritonBackend], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def on_triton(repository: Path) -> Iterator[Callable[[Scenario], None]]:
    """Runs a scenario on a Triton that serves `first`; all share it, and the loop that its connections belong to."""
    backend = TritonBackend(Settings.load({}), repository, [load_policy(repository, "first").config])
    with asyncio.Runner() as runner:
        runner.run(backend.start())
        try:
            runner.run(until_ready(backend, "first"))
            yield lambda scenario: runner.run(asyncio.wait_for(scenario(backend), STEP_S))
        finally:
            runner.run(backend.stop())


async def is_ready(backend: TritonBackend, policy: str) -> bool:
    return await backend.gateway(policy).is_model_ready()


async def until_ready(backend: TritonBackend, policy: str) -> None:
    gateway = backend.gateway(policy)
    await eventually(gateway.is_model_ready, f"{policy} is ready")


def told(error: pytest.ExceptionInfo[ModelControlError], *words: str) -> None:
    for word in words:
        assert word in str(error.value)


@pytest.mark.slow
def test_a_policy_is_loaded_and_unloaded_beside_another(on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(backend: TritonBackend) -> None:
        assert not await is_ready(backend, "second")
        await backend.control.load("second", SECOND)
        assert await is_ready(backend, "second")
        await backend.control.load("second", SECOND)  # twice is once
        for model in SECOND:
            await backend.control.unload(model)
        assert not await is_ready(backend, "second")
        assert await is_ready(backend, "first")

    on_triton(scenario)


@pytest.mark.slow
def test_a_policy_has_places_for_as_many_instances_as_triton_runs(
    repository: Path, on_triton: Callable[[Scenario], None]
) -> None:
    """Of ONNX Runtime two on a CPU, where no configuration says how many."""

    async def scenario(backend: TritonBackend) -> None:
        workers = Workers(InlineExecutor(), time.monotonic)
        loader = PolicyLoader(backend, workers, asyncio.create_task)
        loaded = loader.serve(load_policy(repository, "first"))
        await eventually(lambda: loaded.vitals.warming_reason is None, "it is warm")
        await loader.stop()
        assert loaded.admission.max_in_flight == 2 * 2 * DENOISE_MAX_BATCH

    on_triton(scenario)


@pytest.mark.slow
def test_a_model_that_is_not_there_is_named(on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(backend: TritonBackend) -> None:
        with pytest.raises(ModelControlError) as caught:
            await backend.control.load("nobody", ["nobody"])
        told(caught, "Triton cannot load nobody")

    on_triton(scenario)


@pytest.mark.slow
def test_a_damaged_model_is_refused_in_one_line_and_the_others_go_on(on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(backend: TritonBackend) -> None:
        with pytest.raises(ModelControlError) as caught:
            await backend.control.load("broken", ["broken"])
        told(caught, "Triton cannot load broken")
        assert "\n" not in str(caught.value)
        assert await is_ready(backend, "first")

    on_triton(scenario)


async def stillborn(backend: TritonBackend) -> str | None:
    """What is said when every process of a policy's models is killed at birth; None when that came too late."""
    [triton] = (each for each in psutil.Process().children() if each.name() == "tritonserver")
    before = set(triton.children())
    load = asyncio.create_task(backend.control.load("stillborn", models_of("stillborn")))

    def is_over() -> bool:
        for born in set(triton.children()) - before:
            with contextlib.suppress(psutil.NoSuchProcess):
                born.kill()
        return load.done()

    await eventually(is_over, "the load has ended")
    error = load.exception()
    return None if error is None or "not healthy" in str(error) else str(error)


@pytest.mark.slow
def test_a_model_whose_process_dies_as_it_comes_up_is_told_in_seconds_and_the_others_go_on(
    on_triton: Callable[[Scenario], None],
) -> None:
    """Triton itself would wait for its first word for minutes, and whoever asks again with it."""

    async def scenario(backend: TritonBackend) -> None:
        while (problem := await stillborn(backend)) is None:  # they had spoken before they were killed
            await backend.control.unload("stillborn")
        assert problem == "Triton cannot load stillborn: the process of a model died as it came up"
        for again in (
            backend.control.load("stillborn", models_of("stillborn")),
            backend.control.load("variant", ["variant", "stillborn_encoder"]),
            backend.control.unload("stillborn"),
        ):
            with pytest.raises(ModelControlError) as caught:
                await again
            told(caught, IN_VAIN)
        assert await is_ready(backend, "first")
        await backend.control.load("second", SECOND)
        assert await is_ready(backend, "second")
        await backend.control.unload("second")

    on_triton(scenario)


def test_a_triton_elsewhere_that_asks_for_a_header_is_told_with_what_to_do() -> None:
    async def refuse(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted, expecting header 'x'")
        raise AssertionError("unreachable")

    async def scenario() -> None:
        server = grpc.aio.server()
        calls = {name: grpc.unary_unary_rpc_method_handler(refuse) for name in ("RepositoryModelLoad",)}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", calls),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        elsewhere = TritonModelControl(f"127.0.0.1:{port}")
        with pytest.raises(ModelControlError) as caught:
            await elsewhere.load("second", SECOND)
        told(caught, "REFLEX_TRITON_ADMIN_HEADER=name=value")
        await elsewhere.close()
        await server.stop(None)

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_triton_that_is_gone_is_said(on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(_backend: TritonBackend) -> None:
        gone = TritonModelControl("127.0.0.1:9")
        with pytest.raises(ModelControlError) as caught:
            await gone.unload("first")
        told(caught, "Triton cannot unload first")
        await gone.close()

    on_triton(scenario)
