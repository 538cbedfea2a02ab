"""What is noted of a request, what Triton is told, and that nothing is when nobody asked."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_frontend.errors import TritonCallError
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.observing import tracing as tracing_module
from reflex_frontend.observing.traced_act import TracedAct
from reflex_frontend.observing.tracing import Tracing, tracing_at_work
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service, chunk, outputs, policy_config
from support.promise import Promise
from support.waiting import HANGS_S

ACT = {"instruction": "pick", "state": [0.1] * 6}
PARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
UNSAMPLED = {"traceparent": PARENT["traceparent"][:-1] + "0"}
NO_CAMERA_NEEDED = policy_config(cameras={"base": False})
Scenario = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


@dataclass
class Kept:
    """A sink that keeps."""

    acts: list[TracedAct] = field(default_factory=list)
    dropped: int = 0

    def keep(self, act: TracedAct) -> None:
        self.acts.append(act)

    def close(self) -> None:
        pass


def traced(
    scenario: Scenario, triton: FakeTriton | None = None, *, sample: float = 1.0, on: bool = True
) -> list[TracedAct]:
    sink = Kept()

    async def main() -> None:
        service = act_service(triton or FakeTriton(), time.monotonic, config=NO_CAMERA_NEEDED)
        service = dataclasses.replace(service, tracing=Tracing(sink, sample) if on else None)
        transport = httpx.ASGITransport(app=build_app(Server(service, Settings.load({}))))
        async with httpx.AsyncClient(transport=transport, base_url="http://robot") as client:
            await scenario(client)

    asyncio.run(main())
    return sink.acts


def posting(*bodies: dict[str, Any], headers: dict[str, str] | None = None) -> Scenario:
    async def scenario(client: httpx.AsyncClient) -> None:
        for body in bodies:
            await client.post("/act", json=body, headers=headers)

    return scenario


def reached(act: TracedAct) -> list[float]:
    stage_times = act.stage_times
    times = (
        stage_times.received_at,
        stage_times.routed_at,
        stage_times.decoded_at,
        stage_times.queued_at,
        stage_times.inferred_at,
    )
    return [moment for moment in (*times, stage_times.guarded_at) if moment is not None]


def test_an_answer_is_noted_with_its_names_and_with_times_in_order() -> None:
    before = time.time()
    [act] = traced(posting({**ACT, "request_id": "r-1", "episode_id": "e-1"}, headers=PARENT))
    times = [act.began_at, *reached(act), act.answered_at, act.ended_at]

    assert (act.status, act.error_code, act.request_id, act.episode_id) == (200, None, "r-1", "e-1")
    assert (act.policy_slot, act.model_version) == ("a", NO_CAMERA_NEEDED.model_version)
    assert (act.embodiment, act.denoising_steps) == ("franka", 10)
    assert len(times) == 9
    assert times == sorted(times)
    assert before <= act.began_at + act.wall_ahead_s <= act.ended_at + act.wall_ahead_s <= time.time()


def test_triton_is_told_the_span_under_which_its_own_belong() -> None:
    triton = FakeTriton()
    [act] = traced(posting(ACT, headers=PARENT), triton)

    assert act.trace.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert act.trace.parent_id == 0x00F067AA0BA902B7
    expected = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{act.trace.infer_id:016x}-01"
    assert triton.metadata == [(("traceparent", expected),)]


@pytest.mark.parametrize(("headers", "sample", "on"), [(UNSAMPLED, 1.0, True), ({}, 0.0, True), (PARENT, 1.0, False)])
def test_a_request_that_is_not_traced_is_not_noted_and_triton_told_nothing(
    headers: dict[str, str], sample: float, on: bool
) -> None:
    triton = FakeTriton()

    assert traced(posting(ACT, headers=headers), triton, sample=sample, on=on) == []
    assert triton.metadata == [()]  # Triton takes every traceparent, sampled or not, as an order to trace


def test_a_broken_traceparent_is_ignored_and_the_ratio_decides() -> None:
    acts = traced(posting(ACT, headers={"traceparent": "00-broken"}))

    assert [act.trace.parent_id for act in acts] == [None]


@pytest.mark.parametrize(
    ("body", "triton", "status", "code", "stages"),
    [
        ({"instruction": "x"}, FakeTriton(), 400, "missing_field", 0),
        ({**ACT, "state": [1]}, FakeTriton(), 422, "state_dim_mismatch", 1),
        ({**ACT, "image_b64": "bm8="}, FakeTriton(), 400, "invalid_image", 2),
        (ACT, FakeTriton(TritonCallError("model", "broken")), 500, "inference_failed", 4),
        (ACT, FakeTriton(outputs(chunk(float("nan")))), 500, "non_finite_action", 4),
    ],
)
def test_an_error_is_noted_with_the_stages_that_were_passed(
    body: dict[str, Any], triton: FakeTriton, status: int, code: str, stages: int
) -> None:
    [act] = traced(posting(body), triton)

    assert (act.status, act.error_code, len(reached(act))) == (status, code, stages)


def test_a_resent_request_says_so() -> None:
    body = {**ACT, "request_id": "r-1", "episode_id": "e-1"}
    first, again = traced(posting(body, body))

    assert (first.is_resent, again.is_resent) == (False, True)
    assert len(reached(again)) == 1


def test_other_methods_are_not_traced() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        assert (await client.get("/act", headers=PARENT)).status_code == 405

    assert traced(scenario) == []


def test_without_the_extra_a_collector_is_refused_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("opentelemetry.sdk"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "reflex_frontend.observing.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)

    async def start() -> None:
        async with tracing_at_work(Settings.load({"otel_endpoint": "http://127.0.0.1:1"})):
            raise AssertionError("it started")

    with pytest.raises(SetupError, match=re.escape(install_line("otel"))):
        asyncio.run(start())


@pytest.mark.slow
def test_without_a_collector_opentelemetry_is_not_even_imported() -> None:
    code = (
        "import sys, reflex_frontend.serve; sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )

    async def start() -> Tracing | None:
        async with tracing_at_work(Settings.load({})) as tracing:
            return tracing

    assert asyncio.run(start()) is None
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(("on", "shown"), [(True, 3.0), (False, 0.0)])
def test_the_metrics_say_how_many_requests_did_not_reach_the_collector(on: bool, shown: float) -> None:
    service = act_service(FakeTriton(), time.monotonic, config=NO_CAMERA_NEEDED)
    service = dataclasses.replace(service, tracing=Tracing(Kept(dropped=3), 1.0) if on else None)
    app = build_app(Server(service, Settings.load({})))

    async def scrape() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://robot") as client:
            return (await client.get("/metrics")).text

    assert f"\nreflex_traces_dropped {shown}\n" in asyncio.run(scrape())


def test_a_sink_that_hangs_does_not_hold_the_stop_up(monkeypatch: pytest.MonkeyPatch, promise: Promise) -> None:
    released = threading.Event()

    class Hanging(Kept):
        def close(self) -> None:
            released.wait(2 * HANGS_S)

    monkeypatch.setattr(tracing_module, "CLOSE_S", 0.1)
    monkeypatch.setattr(tracing_module, "_otlp_sink", lambda _endpoint: Hanging())

    async def start_and_stop() -> float:
        async with tracing_at_work(Settings.load({"otel_endpoint": "http://127.0.0.1:1"})):
            stopped_at = time.monotonic()
        return time.monotonic() - stopped_at

    try:
        stopped_s = asyncio.run(start_and_stop())
        promise("a collector that hangs does not hold up a stop", stopped_s, at_most=5)
    finally:
        released.set()
