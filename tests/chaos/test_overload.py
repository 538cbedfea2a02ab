"""More requests than the model can take: it answers as many as before, and refuses the rest at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from support.load import Answer, LoadClient, closed_loop, open_loop, percentile, run, under_load
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually

pytestmark = pytest.mark.slow

MODEL_MS = 20
SATURATING_CLIENTS = 32
MEASURED_S = 2.0
OVERLOAD_S = 4.0
LOOK_S = 1.0
"""Of each, where the figures are not measured."""
GOODPUT_SHARE = 0.9
REFUSED_S = 0.010
RECOVERED_S = 5.0
DEADLINE_MS = 1_000
HEALTH_S = 0.020


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("overload"), delay_ms=MODEL_MS) as running:
        yield running


@pytest.mark.parametrize(("times", "quick_share"), [(2, 0.99), (5, 0.90)])
def test_overload_lowers_acceptance_and_not_goodput(
    server: NonceServer, promise: Promise, times: int, quick_share: float
) -> None:
    """At 5x, 2,000 requests a second, the client takes as much of two cores as the server: it vouches for 90 % only."""

    measured_s, overload_s = (MEASURED_S, OVERLOAD_S) if promise.is_measured else (LOOK_S, LOOK_S)

    async def scenario() -> tuple[float, list[Answer], float]:
        async with LoadClient(server.port) as client:
            ask = partial(client.act, deadline_ms=DEADLINE_MS)
            saturated = await closed_loop(SATURATING_CLIENTS, measured_s, ask)
            saturated_hz = sum(answer.is_right for answer in saturated) / measured_s
            answers = await open_loop(times * saturated_hz, overload_s, ask)
            return saturated_hz, answers, await _recovered_after_s(client)

    saturated_hz, answers, recovered_s = run(scenario())
    _check_honest(answers)
    good_hz = sum(answer.status == 200 for answer in answers) / overload_s
    late = sum(answer.status == 504 for answer in answers)
    refused_s = percentile([answer.server_s for answer in answers if answer.status == 503] or [0.0], quick_share)
    share = good_hz / max(saturated_hz, 1)
    promise(f"at {times}x overload goodput is that without overload", share, at_least=GOODPUT_SHARE, unit="x")
    promise(f"at {times}x overload no admitted request misses its deadline", late, at_most=0, unit="")
    promise(f"at {times}x overload {quick_share:.0%} of the refusals come at once", refused_s, at_most=REFUSED_S)
    promise(f"after {times}x overload everything is answered again", recovered_s, at_most=RECOVERED_S)


def test_health_stays_quick_while_8_clients_saturate_a_slow_model(server: NonceServer, promise: Promise) -> None:
    async def scenario() -> list[Answer]:
        async with LoadClient(server.port) as robots, LoadClient(server.port) as observer:
            async with under_load(8, robots.act) as answers:
                await eventually(lambda: answers, "the load is on")
                asked = await open_loop(100, MEASURED_S, lambda: observer.get("/health"))
            assert all(answer.is_right for answer in answers)
        return asked

    server.behave(delay_ms=100)
    try:
        asked = run(scenario())
    finally:
        server.behave(delay_ms=MODEL_MS)
    assert all(answer.status == 200 for answer in asked)
    p99_s = percentile([answer.server_s for answer in asked], 0.99)
    promise("99 % of /health come at once while 8 clients saturate a slow model", p99_s, at_most=HEALTH_S)


def _check_honest(answers: Sequence[Answer]) -> None:
    """What holds on any machine."""
    for answer in answers:
        if answer.status == 503:
            assert answer.code == "queue_full", str(answer)
            assert int(answer.headers["retry-after"]) >= 1
        else:
            assert answer.is_right or answer.code == "deadline_exceeded", str(answer)


async def _recovered_after_s(client: LoadClient) -> float:
    """Until half a second of calls at a rate that it can take was answered, every one."""

    async def answers_all() -> bool:
        return all(answer.is_right for answer in await open_loop(20, 0.5, client.act))

    return await eventually(answers_all, "everything is answered again after the overload")
