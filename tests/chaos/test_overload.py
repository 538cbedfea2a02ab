"""More requests than the model can take: it answers as many as before, and refuses the rest at once."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from support.load import Answer, LoadClient, closed_loop, open_loop, percentile, run, under_load
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually

pytestmark = pytest.mark.slow

MODEL_MS = 20
BATCH = 8
HEADROOM = 3.0
"""What the processor could answer over what the model lets it: at 5x it refuses four for each that it answers."""
SLOWEST = 2.0
"""A processor that answers still less than that allows is no longer excused."""
SATURATING_CLIENTS = 32
TURNS = 3
MEASURED_S = 2.0
OVERLOAD_S = 4.0
LOOK_S = 1.0
"""Of each, where the figures are not measured."""
RAMP_S = 0.3
"""Until as much is under way as will be: it counts nowhere."""
GOODPUT_SHARE = 0.9
REFUSED_S = 0.010
RECOVERED_S = 5.0
DEADLINE_MS = 1_000
HEALTH_S = 0.020


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("overload"), delay_ms=MODEL_MS) as running:
        yield running


@dataclass(frozen=True)
class Turn:
    """A saturated server, and the overload that followed at once."""

    saturated_hz: float
    overload: Sequence[Answer]
    good_hz: float

    @property
    def share(self) -> float:
        return self.good_hz / max(self.saturated_hz, 1)

    @property
    def refused_s(self) -> list[float]:
        return [answer.server_s for answer in self.overload if answer.status == 503]


@pytest.mark.parametrize(("times", "quick_share"), [(2, 0.99), (5, 0.90)])
def test_overload_lowers_acceptance_and_not_goodput(
    server: NonceServer, promise: Promise, times: int, quick_share: float
) -> None:
    """At 5x, up to 2,000 requests a second, the client takes as much of two cores as the server: 90 % only."""
    turns: list[Turn] = []
    refused_s: list[float] = []

    async def scenario() -> float:
        async with LoadClient(server.port) as client:
            server.behave(delay_ms=await _model_ms(server, client) if promise.is_measured else MODEL_MS)
            for _ in range(TURNS if promise.is_measured else 1):
                with promise.beside_neighbours() as neighbours:
                    turns.append(await _turn(client, times, is_whole=promise.is_measured))
                refused_s.extend(neighbours.without(took_s) for took_s in turns[-1].refused_s)
            return await _recovered_after_s(client)

    try:
        recovered_s = run(scenario())
    finally:
        server.behave(delay_ms=MODEL_MS)
    answers = [answer for turn in turns for answer in turn.overload]
    _check_honest(answers)
    print("goodput and saturated, 1/s:", [(turn.good_hz, turn.saturated_hz) for turn in turns])
    late = sum(answer.status == 504 for answer in answers)
    refused = percentile(refused_s or [0.0], quick_share)
    share = statistics.median(turn.share for turn in turns)
    promise(f"at {times}x overload goodput is that without overload", share, at_least=GOODPUT_SHARE, unit="x")
    promise(f"at {times}x overload no admitted request misses its deadline", late, at_most=0, unit="")
    promise(f"at {times}x overload {quick_share:.0%} of the refusals come at once", refused, at_most=REFUSED_S)
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


async def _model_ms(server: NonceServer, client: LoadClient) -> float:
    """Of a model that is what requests wait for, not the processor: a slow one gets a slower model."""
    server.behave(delay_ms=0)
    processor_hz = _right_hz(await closed_loop(SATURATING_CLIENTS, MEASURED_S, client.act), MEASURED_S)
    model_hz = 1_000 * BATCH / MODEL_MS
    slower = min(max(HEADROOM * model_hz / max(processor_hz, 1.0), 1.0), SLOWEST)
    print(f"the processor answers {processor_hz:.0f} requests a second; the model takes {MODEL_MS * slower:.1f} ms")
    return MODEL_MS * slower


async def _turn(client: LoadClient, times: int, *, is_whole: bool) -> Turn:
    saturated_s, overload_s = (MEASURED_S, OVERLOAD_S) if is_whole else (LOOK_S, LOOK_S)
    ask = partial(client.act, deadline_ms=DEADLINE_MS)
    saturated_hz = _right_hz(await closed_loop(SATURATING_CLIENTS, saturated_s, ask), saturated_s)
    answers = await open_loop(times * saturated_hz, overload_s, ask)
    return Turn(saturated_hz, answers, _right_hz(answers, overload_s))


def _right_hz(answers: Sequence[Answer], seconds: float) -> float:
    """Of those that came within `seconds` of the first call: neither the first nor those still under way at the end."""
    began_at = min((answer.sent_at for answer in answers), default=0.0)
    counted = [answer for answer in answers if RAMP_S < answer.ended_at - began_at <= seconds]
    return sum(answer.is_right for answer in counted) / (seconds - RAMP_S)


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
