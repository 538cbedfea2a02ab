"""The real server and a real collector: what arrives there, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest

from docs.documents import REPOSITORY
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton
from reflex_frontend.embedded import server as embedded_server
from reflex_frontend.embedded.command import Run, server_arguments
from reflex_frontend.embedded.run_folder import RunFolder
from reflex_frontend.observing.spans import episode_hash
from support.bodies import valid_body
from support.collector import Collector, Span, running_collector
from support.hostile import PATIENT
from support.promise import Promise
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S, wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STAGES = ["receive", "route", "decode", "queue", "infer", "guard", "respond"]
SERVER, CLIENT = 2, 3
ROUNDS = 40
ASKED = 3
"""Requests of which one's span must arrive."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(collector: Collector) -> Iterator[ServerProcess]:
    with running_server(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "arm-7"}) as server:
        yield server


def act(server: ServerProcess, flags: str | None = None, **fields: object) -> httpx.Response:
    headers = PATIENT if flags is None else {**PATIENT, "traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
    return httpx.post(f"{server.base_url}/act", json=valid_body(**fields), headers=headers, timeout=HANGS_S)


def lie_within(whole: Span, parts: list[Span]) -> bool:
    moments = [moment for part in parts for moment in (part.began_ns, part.ended_ns)]
    return moments == sorted(moments) and whole.began_ns == moments[0] and moments[-1] == whole.ended_ns


@pytest.mark.slow
def test_a_request_arrives_as_a_span_below_the_clients_with_its_stages_below_it(
    server: ServerProcess, collector: Collector, promise: Promise
) -> None:
    before_ns = time.time_ns()
    assert act(server, "01", request_id="good", episode_id="e-1").status_code == 200
    after_ns = time.time_ns()
    whole, stages = collector.of_request("good")

    assert (whole.name, whole.kind, whole.trace_id, whole.parent_id) == ("POST /act", SERVER, TRACE, PARENT)
    assert [stage.name for stage in stages] == STAGES
    assert [stage.name for stage in stages if stage.kind == CLIENT] == ["infer"]
    assert {stage.trace_id for stage in stages} == {TRACE}
    assert not any(span.is_error for span in (whole, *stages))
    assert lie_within(whole, stages)
    assert before_ns < whole.began_ns < whole.ended_ns
    later_s = (whole.ended_ns - after_ns) / 1e9
    promise("the span of a request ends with the client's own", max(later_s, 0.0), at_most=0.005)
    assert whole.attributes["http.response.status_code"] == 200
    assert whole.attributes["reflex.policy_slot"] == "a"
    assert whole.attributes["reflex.model_version"].startswith("demo@")
    assert whole.attributes["reflex.embodiment"] == "franka"
    assert whole.attributes["reflex.denoising_steps"] == 10
    assert whole.attributes["reflex.episode_hash"] == episode_hash("e-1")


@pytest.mark.slow
def test_an_error_arrives_with_the_stage_that_failed(server: ServerProcess, collector: Collector) -> None:
    assert act(server, request_id="wrong-state", state=[0.0]).status_code == 422
    whole, stages = collector.of_request("wrong-state")

    assert whole.attributes["http.response.status_code"] == 422
    assert whole.attributes["error.type"] == "state_dim_mismatch"
    assert (whole.parent_id, whole.is_error) == ("", False)
    assert [(stage.name, stage.is_error) for stage in stages] == [
        ("receive", False), ("route", True), ("respond", False),
    ]  # fmt: skip
    assert lie_within(whole, stages)


@pytest.mark.slow
def test_what_the_client_does_not_sample_does_not_arrive(server: ServerProcess, collector: Collector) -> None:
    assert act(server, "00", request_id="unsampled").status_code == 200
    assert act(server, "01", request_id="sampled").status_code == 200
    collector.of_request("sampled")

    assert [span for span in collector.spans if span.attributes.get("reflex.request_id") == "unsampled"] == []


@pytest.mark.slow
def test_it_speaks_otlp_under_the_name_of_the_service_and_tells_nothing_of_the_request(
    server: ServerProcess, collector: Collector
) -> None:
    act(server, request_id="secret", episode_id="my-episode", instruction="my instruction")
    collector.of_request("secret")

    assert set(collector.requests) == {("/v1/traces", "application/x-protobuf")}
    assert {resource["service.name"] for resource in collector.resources} == {"arm-7"}
    assert all(resource["service.version"] for resource in collector.resources)
    told = repr(collector.spans) + repr(collector.resources)
    assert "my-episode" not in told
    assert "my instruction" not in told


@pytest.mark.slow
def test_what_is_left_is_sent_when_the_server_stops() -> None:
    with running_collector() as collector, running_server("--otel-endpoint", collector.url) as server:
        act(server, request_id="last")
        assert server.stop() == 0

    assert collector.of_request("last")


@pytest.mark.slow
def test_tritons_own_spans_hang_below_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ids: list[str] = []

    def ask(collector: Collector, address: str) -> None:
        """Until one arrived: Triton's exporter drops what it could not send at once, as on a busy machine."""
        for number in range(ASKED):
            ids.append(f"through-triton-{number}")
            with running_server("--triton", address, "--otel-endpoint", collector.url) as server:
                assert act(server, request_id=ids[-1]).status_code == 200
            with contextlib.suppress(AssertionError):
                wait_until(lambda: below_the_call(collector), "Triton has sent its span", timeout_s=HANGS_S / ASKED)
                return

    def below_the_call(collector: Collector) -> list[Span]:
        _, stages = collector.of_request(ids[-1])
        infer = next(stage for stage in stages if stage.name == "infer")
        return [span for span in list(collector.spans) if span.parent_id == infer.span_id]

    async def scenario(collector: Collector) -> None:
        options = EmbeddedOptions(model_repository=REPOSITORY / "model_repository", models=("demo",))
        triton = EmbeddedTriton(options)
        await triton.start()
        try:
            await asyncio.to_thread(ask, collector, triton.grpc_address)
        finally:
            await triton.stop()

    with running_collector() as collector:
        monkeypatch.setattr(embedded_server, "server_arguments", tracing_arguments(f"{collector.url}/v1/traces"))
        asyncio.run(scenario(collector))

    whole, stages = collector.of_request(ids[-1])
    infer = next(stage for stage in stages if stage.name == "infer")
    below = below_the_call(collector)

    assert [(span.name, span.trace_id) for span in below] == [("InferRequest", whole.trace_id)]
    assert infer.began_ns <= below[0].began_ns <= infer.ended_ns  # it ends when Triton has tidied up


def tracing_arguments(url: str) -> Callable[[Run, RunFolder, EmbeddedOptions, Sequence[str]], list[str]]:
    """Triton's command line with its own tracing: one request in a thousand, and those that come with a traceparent."""

    def arguments(run: Run, folder: RunFolder, options: EmbeddedOptions, models: Sequence[str]) -> list[str]:
        configs = ("mode=opentelemetry", f"opentelemetry,url={url}", "opentelemetry,bsp_schedule_delay=100")
        more = [f"--trace-config={config}" for config in (*configs, "rate=1000", "level=TIMESTAMPS")]
        return [*server_arguments(run, folder, options, models), *more]

    return arguments


@pytest.mark.slow
def test_a_broken_collector_slows_no_robot_and_no_stop(promise: Promise) -> None:
    with (
        running_collector("hang") as hanging,
        running_collector("refuse") as refusing,
        running_server() as plain,
        running_server("--otel-endpoint", hanging.url) as to_hanging,
        running_server("--otel-endpoint", refusing.url) as to_refusing,
    ):
        untraced, *traced = median_answers_s(plain, to_hanging, to_refusing)
        assert hanging.requests
        wait_until(lambda: "traces do not reach the collector at" in to_refusing.log, "the log says so")
        stopping_at = time.monotonic()
        assert (to_hanging.stop(), to_refusing.stop()) == (0, 0)
        promise("a broken collector holds up no stop of two servers", time.monotonic() - stopping_at, at_most=20)
        assert to_refusing.log.count("traces do not reach") == 1
        assert "opentelemetry" not in to_refusing.log + to_hanging.log

    # The same machine in the same seconds; the millisecond is the scheduler's.
    beside = (max(traced) - 0.001) / untraced
    promise("a broken collector slows the median /act by less than a third", beside, at_most=1.3, unit="x")


def median_answers_s(*servers: ServerProcess) -> list[float]:
    """Of each server, asked in turns."""
    body = valid_body()
    took: list[list[float]] = [[] for _ in servers]
    with httpx.Client(timeout=HANGS_S, headers=PATIENT) as client:
        for _ in range(ROUNDS):
            for server, times in zip(servers, took, strict=True):
                began_at = time.monotonic()
                client.post(f"{server.base_url}/act", json=body).raise_for_status()
                times.append(time.monotonic() - began_at)
    return [statistics.median(times) for times in took]
