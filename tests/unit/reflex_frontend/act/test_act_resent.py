"""A request that is sent again runs the model once, and gets no other request's answer."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import Any

import numpy as np
import orjson
import pytest

from reflex.errors import DeadlineExceededError, InferenceError, UnavailableError
from reflex_frontend.act import act
from reflex_frontend.act.act import QUICK_BODY_BYTES
from reflex_frontend.act.resent import Body, digest_of
from reflex_frontend.errors import TritonCallError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observation.request import parse_act
from support.fakes import FakeTriton, act_service, run_virtual
from unit.reflex_frontend.act.act_scene import GOOD, Clock, Frontend, after, serve


def test_a_resent_request_gets_the_same_bytes_and_runs_the_model_once() -> None:
    async def scenario(frontend: Frontend) -> None:
        first = await frontend.act(request_id="r", episode_id="e")
        assert await frontend.act(request_id="r", episode_id="e") == first
        assert len(frontend.triton.calls) == 1

    serve(scenario)


def test_a_resent_request_is_answered_with_equal_bytes_and_another_transport_has_its_own_cache_entry() -> None:
    async def main(now: Clock) -> None:
        triton = FakeTriton()
        service = act_service(triton, now)
        body = orjson.dumps({**GOOD, "episode_id": "e", "request_id": "r"})
        first, again = [await service.answer(body, Exchange.begin(now(), 1000)) for _ in range(2)]
        assert first == again
        parsed, other = parse_act(body), b"other bytes"
        results = [await service.answer_request(parsed, other, Exchange.begin(now(), 1000)) for _ in range(2)]
        assert len(triton.calls) == 2
        assert results[0] is results[1]
        actions = np.asarray(results[0]["actions"])
        assert actions.shape == (4, 7)
        assert actions.dtype == np.float32
        assert actions.tolist() == np.asarray(orjson.loads(first)["actions"], np.float32).tolist()

    run_virtual(main)


def test_a_large_request_is_known_again_too() -> None:
    async def main(now: Clock) -> None:
        triton = FakeTriton()
        service = act_service(triton, now)
        body = orjson.dumps({**GOOD, "episode_id": "e", "request_id": "r"}) + b" " * QUICK_BODY_BYTES
        first, again = [await service.answer(body, Exchange.begin(now(), 1000)) for _ in range(2)]
        assert first == again
        await service.answer(body + b" ", Exchange.begin(now(), 1000))
        assert len(triton.calls) == 2

    run_virtual(main)


@pytest.mark.parametrize("named", [{}, {"episode_id": "e"}, {"request_id": "r"}])
def test_what_cannot_be_sent_again_is_not_digested(named: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    digested: list[object] = []

    def counted(body: Body, instruction: str) -> bytes:
        digested.append(body)
        return digest_of(body, instruction)

    monkeypatch.setattr(act, "digest_of", counted)

    async def main(now: Clock) -> None:
        service = act_service(FakeTriton(), now)
        await service.answer(orjson.dumps({**GOOD, **named}), Exchange.begin(now(), 1000))
        assert not digested
        await service.answer(orjson.dumps({**GOOD, "episode_id": "e", "request_id": "r"}), Exchange.begin(now(), 1000))
        assert len(digested) == 1

    run_virtual(main)


def test_a_request_resent_while_the_first_runs_shares_its_answer() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first, second = await asyncio.gather(frontend.act(**same), frontend.act(**same))
        assert first == second
        assert len(frontend.triton.calls) == 1

    serve(scenario, FakeTriton(after(0.1)))


@pytest.mark.parametrize(
    "other",
    [
        {"request_id": "r", "episode_id": "e", "state": [0.2] * 6},
        {"request_id": "r", "episode_id": "other"},
        {"request_id": "other", "episode_id": "e"},
        {"request_id": "r"},
    ],
    ids=["another observation", "another episode", "another request", "no episode"],
)
def test_an_old_answer_is_never_given_to_another_request(other: dict[str, Any]) -> None:
    async def scenario(frontend: Frontend) -> None:
        await frontend.act(request_id="r", episode_id="e")
        await frontend.act(**other)
        assert len(frontend.triton.calls) == 2

    serve(scenario)


def test_a_failed_request_that_is_resent_is_tried_again() -> None:
    async def scenario(frontend: Frontend) -> None:
        frontend.triton.script.append(TritonCallError("model", "no"))
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        await frontend.fails(InferenceError, **same)
        await asyncio.sleep(0)
        assert (await frontend.act(**same))["request_id"] == "r"

    serve(scenario)


def test_a_resent_request_keeps_its_own_deadline_not_that_of_the_first() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first = asyncio.create_task(frontend.fails(DeadlineExceededError, 100, **same))
        await asyncio.sleep(0.05)
        answer = await frontend.act(2000, **same)
        assert answer["request_id"] == "r"
        await first

    serve(scenario, FakeTriton(after(0.5)))


def test_a_resent_request_is_not_refused_for_the_deadline_of_the_first() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        frontend.loaded.admission.resize(1, 4)
        frontend.triton.script += [after(0.5), after(0.9)]
        await frontend.act()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(frontend.act(2000))  # takes longer than any call before it
            await asyncio.sleep(0.01)
            first = tasks.create_task(frontend.fails(UnavailableError, 1100, **same))
            await asyncio.sleep(0.01)
            second = tasks.create_task(frontend.act(4000, **same))
        assert first.result().code == "queue_full"
        assert second.result()["request_id"] == "r"

    serve(scenario)


def test_of_those_that_waited_for_a_copy_that_failed_one_runs_the_model_and_the_rest_share_its_answer() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(frontend.fails(DeadlineExceededError, 100, **same))
            await asyncio.sleep(0.05)
            waiting = [tasks.create_task(frontend.act(2000, **same)) for _ in range(3)]
        assert waiting[0].result() == waiting[1].result() == waiting[2].result()
        assert len(frontend.triton.calls) == 2  # of the first, which was too slow for its client, and of one of these

    serve(scenario, FakeTriton(after(0.5)))


def test_of_those_that_waited_each_keeps_its_own_deadline_while_one_after_the_other_fails() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        async with asyncio.TaskGroup() as tasks:
            for deadline_ms in (100, 200, 300):
                tasks.create_task(frontend.fails(DeadlineExceededError, deadline_ms, **same))
                await asyncio.sleep(0.01)
            last = tasks.create_task(frontend.act(4000, **same))
        assert last.result()["request_id"] == "r"

    serve(scenario, FakeTriton(after(0.5)))


def test_whoever_waits_for_a_request_that_was_abandoned_is_told_so() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first = asyncio.create_task(frontend.act(**same))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(frontend.fails(InferenceError, **same))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).status == 500

    serve(scenario, FakeTriton(after(0.1)))


@pytest.mark.slow
def test_cancelling_a_request_is_not_swallowed() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first = asyncio.create_task(frontend.act(**same))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(frontend.act(**same))
        await asyncio.sleep(0.01)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first

    serve(scenario, FakeTriton(after(0.1)))


def test_a_resent_request_is_answered_by_the_slot_that_answered_first_whatever_the_split_is_now() -> None:
    async def main(now: Clock) -> None:
        service = act_service(FakeTriton(), now, second=FakeTriton(), split=0)
        body = orjson.dumps({**GOOD, "episode_id": "e", "request_id": "r"})
        first, again = (Exchange.begin(now(), 1000) for _ in range(2))
        answer = await service.answer(body, first)
        service.router.split = 100
        assert await service.answer(body, again) == answer
        assert again.routing is not None
        assert service.router.headers(again.routing)["x-reflex-policy-slot"] == "b"

    run_virtual(main)


def test_only_answers_count_as_resent_or_as_resendable() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        for _ in range(2):
            await frontend.fails(InferenceError, **same)
            await asyncio.sleep(0)
        assert counted(frontend) == (0, 0)
        await frontend.act(**same)
        await frontend.act(**same)
        assert counted(frontend) == (1, 1)

    failure = TritonCallError("model", "it fails")
    serve(scenario, FakeTriton(script=deque([failure, failure])))


def counted(frontend: Frontend) -> tuple[float, float]:
    """Hits and misses."""
    text = frontend.service.metrics.exposition().decode()
    hit, miss = (re.search(rf"^reflex_cache_{kind}_total{{.*}} (.+)$", text, re.MULTILINE) for kind in ("hit", "miss"))
    assert hit is not None
    assert miss is not None
    return float(hit[1]), float(miss[1])
