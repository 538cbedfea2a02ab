"""An observation of a stream is answered, counted and admitted as a request of `/act` is."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from reflex.errors import InferenceError, InvalidRequestError, ServiceError
from reflex.wire import DEFAULT_DEADLINE_MS
from reflex_frontend.act.act import ActService
from reflex_frontend.errors import TritonCallError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observation.request import ActRequest, refuse
from reflex_frontend.streams.answering import answer_observation
from support.fakes import FakeTriton, act_service, policy_config, run_virtual

REQUEST = ActRequest("pick", (0.1,) * 6, None, {}, None, "r", resendable=False, seed=None)
Now = Callable[[], float]


async def good(_exchange: Exchange) -> tuple[ActRequest, bytes]:
    return REQUEST, b"body"


async def bad(_exchange: Exchange) -> tuple[ActRequest, bytes]:
    raise refuse("wrong_type", "no")


async def broken(_exchange: Exchange) -> tuple[ActRequest, bytes]:
    raise ZeroDivisionError


def served(scenario: Callable[[ActService, Now], Coroutine[Any, Any, None]], triton: FakeTriton | None = None) -> None:
    async def main(now: Now) -> None:
        service = act_service(triton or FakeTriton(), now, config=policy_config(cameras={"base": False}))
        await scenario(service, now)
        assert service.instance.answering == 0

    run_virtual(main)


def counted(service: ActService) -> dict[str, float]:
    """Answers by status."""
    text = service.metrics.exposition().decode()
    found = re.findall(r'^reflex_act_total\{.*status="(\d+)".*\} (\S+)$', text, re.MULTILINE)
    return {status: float(count) for status, count in found if float(count)}


def begun(now: Now) -> Exchange:
    return Exchange.begin(now(), DEFAULT_DEADLINE_MS)


def test_an_answer_is_counted_with_the_slot_that_gave_it() -> None:
    async def scenario(service: ActService, now: Now) -> None:
        answer = await answer_observation(service, [], begun(now), good)
        assert answer["request_id"] == "r"
        assert counted(service) == {"200": 1.0}

    served(scenario)


@pytest.mark.parametrize(
    ("parse", "kind", "status"), [(bad, InvalidRequestError, 400), (broken, ServiceError, 500)], ids=["bad", "broken"]
)
def test_what_is_wrong_is_a_service_error_and_counted(parse: Any, kind: type[ServiceError], status: int) -> None:
    async def scenario(service: ActService, now: Now) -> None:
        with pytest.raises(kind) as caught:
            await answer_observation(service, [], begun(now), parse)
        assert caught.value.status == status
        assert counted(service) == {str(status): 1.0}

    served(scenario)


def test_a_model_that_fails_is_told_as_it_is_over_http() -> None:
    async def scenario(service: ActService, now: Now) -> None:
        with pytest.raises(InferenceError):
            await answer_observation(service, [], begun(now), good)

    served(scenario, FakeTriton(TritonCallError("model", "no")))


def test_every_observation_asks_again_who_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def check(_service: ActService, headers: Any, _exchange: Exchange) -> None:
        asked.append(headers)
        if len(asked) > 1:
            raise refuse("unauthorized", "the key is gone")

    async def scenario(service: ActService, now: Now) -> None:
        headers = [(b"x-reflex-key", b"k")]
        await answer_observation(service, headers, begun(now), good)
        with pytest.raises(ServiceError):
            await answer_observation(service, headers, begun(now), good)
        assert asked == [headers] * 2

    monkeypatch.setattr(ActService, "check_caller", check)
    served(scenario)
