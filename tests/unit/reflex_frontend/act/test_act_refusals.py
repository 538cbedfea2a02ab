"""Who is not answered, how soon, and that nobody's place is lost by it."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from reflex.errors import DeadlineExceededError, UnavailableError
from reflex_frontend.exchange.exchange import Exchange
from support.fakes import FakeTriton
from unit.reflex_frontend.act.act_scene import GOOD, Frontend, after, image, serve


@pytest.mark.parametrize(
    ("phase", "code"), [("warming", "warming_up"), ("open", "circuit_open"), ("draining", "draining")]
)
def test_each_phase_refuses_with_503_and_retry_after(phase: str, code: str) -> None:
    async def scenario(frontend: Frontend) -> None:
        vitals = frontend.loaded.vitals
        vitals.warming_reason = "starting" if phase == "warming" else None
        frontend.service.instance.is_draining = phase == "draining"
        if phase == "open":
            vitals.breaker.open("lost")
        error = await frontend.fails(UnavailableError)
        assert error.code == code
        assert error.retry_after_s
        assert not frontend.triton.calls

    serve(scenario)


def test_beyond_places_and_queue_requests_are_refused() -> None:
    async def scenario(frontend: Frontend) -> None:
        running = [asyncio.create_task(frontend.act()) for _ in range(3)]
        await asyncio.sleep(0)
        assert frontend.loaded.admission.is_full
        error = await frontend.fails(UnavailableError)
        assert error.code == "queue_full"
        await asyncio.gather(*running)
        assert not frontend.loaded.admission.is_full

    serve(scenario, FakeTriton(after(0.1)))


def test_the_deadline_counts_from_the_requests_first_byte() -> None:
    async def scenario(frontend: Frontend) -> None:
        body = orjson.dumps(GOOD)
        with pytest.raises(DeadlineExceededError):
            await frontend.service.answer(body, Exchange.begin(frontend.now() - 0.5, 400))
        assert not frontend.triton.calls

    serve(scenario)


def test_a_waiting_request_ends_at_its_deadline() -> None:
    async def scenario(frontend: Frontend) -> None:
        running = [asyncio.create_task(frontend.act(5000)) for _ in range(2)]
        await asyncio.sleep(0)
        started = frontend.now()
        await frontend.fails(DeadlineExceededError, 300)
        assert frontend.now() - started == pytest.approx(0.3)
        await asyncio.gather(*running)

    serve(scenario, FakeTriton(after(2)))


@pytest.mark.parametrize("when_s", [0.0, 0.02, 0.2])
def test_no_place_is_lost_when_clients_are_cancelled_anywhere(when_s: float) -> None:
    async def scenario(frontend: Frontend) -> None:
        clients = [asyncio.create_task(frontend.act(image_b64=image("PNG"))) for _ in range(3)]
        await asyncio.sleep(when_s)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    serve(scenario, FakeTriton(after(0.1)))
