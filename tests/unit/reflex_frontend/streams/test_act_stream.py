"""`WS /act/stream` on virtual time: the newest observation wins, and each gets exactly one answer."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import Counter
from concurrent.futures import Executor, Future
from typing import Any

import msgpack
import orjson
import pytest

from reflex.wire import MAX_NUMBERS
from reflex_frontend.act.act import ActService
from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.workers import Workers
from reflex_frontend.streams.act_stream import QUICK_FRAME_BYTES
from support.fakes import FakeTriton
from unit.reflex_frontend.streams.stream_scene import OBSERVATION, Client, slow, streamed


def outcomes(service: ActService) -> dict[str, int]:
    """Of the observations, as they are counted."""
    text = service.metrics.exposition().decode()
    found = re.findall(r'^reflex_stream_observations_total\{outcome="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {outcome: int(float(count)) for outcome, count in found if float(count)}


def test_the_first_frame_says_what_is_served() -> None:
    async def scenario(client: Client) -> None:
        ready = await client.frame(0)
        assert ready == {
            "type": "ready", "model_version": "small@abababababab", "embodiment": "franka", "control_hz": 20.0,
            "cameras": ["base"], "state_dim": 6, "num_actions": 4, "action_dim": 7, "deadline_ms": 1000.0,
        }  # fmt: skip

    streamed(scenario)


def test_an_observation_gets_the_answer_of_act_as_a_chunk() -> None:
    async def scenario(client: Client) -> None:
        client.send(5, request_id="mine")
        chunk = await client.frame(1)
        assert (chunk["type"], chunk["seq"], chunk["request_id"]) == ("chunk", 5, "mine")
        assert chunk["actions"]["shape"] == [4, 7]
        assert {"timing", "latency_ms", "model_version", "guard_clamped"} <= chunk.keys()
        assert outcomes(client.service) == {"chunk": 1}

    streamed(scenario)


def test_json_is_answered_in_json() -> None:
    async def scenario(client: Client) -> None:
        client.send_raw(orjson.dumps({**OBSERVATION, "seq": 0}).decode())
        assert isinstance((await client.frame(1))["actions"][0], list)

    streamed(scenario)


def test_a_hello_is_answered_and_holds_for_what_comes_after_it() -> None:
    async def scenario(client: Client) -> None:
        client.send_raw(msgpack.packb({"type": "hello", "episode_id": "e", "instruction": "pick", "deadline_ms": 20}))
        ready = await client.frame(1)
        assert (ready["type"], ready["episode_id"], ready["deadline_ms"]) == ("ready", "e", 20.0)
        client.send(1, instruction=None)
        assert (await client.frame(2))["error"] == "deadline_exceeded"

    streamed(scenario, FakeTriton(slow(0.5)))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"deadline_ms": 0}, "wrong_type"),
        ({"episode_id": {"__ndarray__": True, "dtype": "|u1", "shape": [3], "data": b"abc"}}, "wrong_type"),
        ({"instruction": "x" * 1_000_000}, "instruction_too_long"),
    ],
    ids=["a deadline", "an array as episode", "megabytes of instruction"],
)
def test_a_hello_that_breaks_a_rule_is_told_and_the_one_before_it_holds_on(said: dict[str, Any], code: str) -> None:
    async def scenario(client: Client) -> None:
        client.send_raw(msgpack.packb({"type": "hello", "instruction": "pick"}))
        await client.frame(1)
        client.send_raw(msgpack.packb({"type": "hello", **said}))
        refused = await client.frame(2)
        assert (refused["type"], refused["error"], "seq" in refused) == ("error", code, False)
        client.send(1, instruction=None)
        assert (await client.frame(3))["type"] == "chunk"
        assert client.closed is None

    streamed(scenario)


def test_a_resent_observation_under_another_instruction_is_another_one() -> None:
    async def scenario(client: Client) -> None:
        async def asked(instruction: str) -> int:
            other = Client(client.service, client.triton, client.now)
            other.open()
            other.send_raw(msgpack.packb({"type": "hello", "episode_id": "e", "instruction": instruction}))
            other.send(0, instruction=None, request_id="0")
            await other.frame(2)
            other.leave()
            await other.ended()
            return len(client.triton.calls)

        assert [await asked(said) for said in ("pick red", "pick red", "pick blue")] == [1, 1, 2]

    streamed(scenario)


LARGE = {"more": bytes(QUICK_FRAME_BYTES)}
"""An observation with it is read off the event loop."""


@pytest.mark.parametrize(("deadline_ms", "answered"), [(5000, "chunk"), (1100, "error")])
def test_a_large_observation_is_held_to_its_own_deadline(deadline_ms: int, answered: str) -> None:
    async def scenario(client: Client) -> None:
        client.send(0, deadline_ms=5000)
        client.send(1, deadline_ms=deadline_ms, **LARGE)
        await client.frame(2)
        assert {frame["seq"]: frame["type"] for frame in client.frames[1:]} == {0: "chunk", 1: answered}

    streamed(scenario, FakeTriton(slow(1.2)))


class Stuck(Executor):
    """Whose threads never get to anything."""

    def submit(self, *_: object, **__: object) -> Future[Any]:
        return Future()


def test_a_frame_that_no_thread_gets_to_ends_the_stream_for_now() -> None:
    def change(service: ActService) -> ActService:
        return dataclasses.replace(service, workers=Workers(Stuck(), service.now))

    async def scenario(client: Client) -> None:
        client.send_raw(msgpack.packb({"type": "hello", "deadline_ms": 1}))
        await client.frame(1)
        client.send(0, **LARGE)
        error = await client.frame(2)
        await client.ended()
        assert (error["error"], "seq" in error) == ("deadline_exceeded", False)
        assert client.came_at[2] - client.came_at[1] == pytest.approx(10.0, abs=0.01)
        assert client.closed is not None
        assert client.closed[0] == 1013

    streamed(scenario, change=change)


def test_one_runs_and_the_newest_waits_and_the_rest_are_told_at_once() -> None:
    async def scenario(client: Client) -> None:
        await client.frame(0)
        began = client.now()
        for seq in range(1, 5):
            client.send(seq)
        await client.frame(4)
        assert [(frame["seq"], frame.get("error"), frame.get("by")) for frame in client.frames[1:]] == [
            (2, "superseded", 3), (3, "superseded", 4), (1, None, None), (4, None, None),
        ]  # fmt: skip
        assert [round(at - began, 3) for at in client.came_at[1:]] == [0.0, 0.0, 0.1, 0.2]

    streamed(scenario, FakeTriton(slow(0.1)))


def test_what_waits_is_told_at_its_deadline_that_it_was_too_late() -> None:
    async def scenario(client: Client) -> None:
        began = client.now()
        client.send(1)
        client.send(2, deadline_ms=50)
        late = await client.frame(1)
        assert (late["seq"], late["error"], late["status"]) == (2, "deadline_exceeded", 504)
        assert client.now() - began == pytest.approx(0.05, abs=0.005)
        assert (await client.frame(2))["seq"] == 1

    streamed(scenario, FakeTriton(slow(0.5)))


@pytest.mark.slow
@pytest.mark.parametrize(("model_s", "period_s"), [(0.13, 0.02), (0.01, 0.02), (0.25, 0.02)])
def test_of_a_thousand_observations_at_50_hz_each_is_accounted_for_and_the_newest_is_used(
    model_s: float, period_s: float
) -> None:
    async def scenario(client: Client) -> None:
        newest_at_begin = []

        async def answer() -> Any:
            newest_at_begin.append(sent[-1])
            return await slow(model_s)()

        client.triton.default = answer
        sent: list[int] = []
        for seq in range(1, 1001):
            sent.append(seq)
            client.send(seq)
            await asyncio.sleep(period_s)
        await client.frame(1000)
        assert sorted(frame["seq"] for frame in client.frames[1:]) == sent
        chunks = [frame["seq"] for frame in client.answers("chunk")]
        assert chunks == sorted(chunks)
        assert all(0 <= newest - seq <= 1 for seq, newest in zip(chunks, newest_at_begin, strict=True))
        kinds = Counter(frame.get("error", "chunk") for frame in client.frames[1:])
        assert set(kinds) <= {"chunk", "superseded"}
        assert outcomes(client.service) == dict(kinds)
        assert kinds["chunk"] >= min(1000, 1000 * period_s / (model_s + period_s) - 1)

    streamed(scenario)


def test_a_bad_observation_is_refused_and_the_stream_goes_on() -> None:
    async def scenario(client: Client) -> None:
        client.send(1, state=[0.0])
        assert (await client.frame(1))["error"] == "state_dim_mismatch"
        client.send(1)
        wrong = await client.frame(2)
        assert (wrong["error"], "seq" in wrong) == ("wrong_type", False)
        client.send_raw(msgpack.packb({"type": "song"}))
        assert (await client.frame(3))["error"] == "wrong_type"
        client.send(2)
        assert (await client.frame(4))["type"] == "chunk"
        assert client.closed is None

    streamed(scenario)


@pytest.mark.parametrize("garbage", [b"\xc1", "no json", b"\x93\x01", msgpack.packb(7), "," * (MAX_NUMBERS + 1)])
def test_what_is_no_frame_ends_the_stream_with_a_reason(garbage: bytes | str) -> None:
    async def scenario(client: Client) -> None:
        client.send_raw(garbage)
        await client.ended()
        assert client.frames[-1]["type"] == "error"
        assert client.closed is not None
        assert client.closed[0] == 1007
        assert client.closed[1].split(":")[0] in ("invalid_json", "invalid_msgpack", "wrong_type", "image_too_large")

    streamed(scenario)


def test_a_failing_model_is_told_and_the_next_observation_is_answered() -> None:
    async def scenario(client: Client) -> None:
        client.triton.script.append(TritonCallError("model", "no"))
        client.send(1)
        assert (await client.frame(1))["status"] == 500
        client.send(2)
        assert (await client.frame(2))["type"] == "chunk"

    streamed(scenario)


def test_a_client_that_leaves_gives_its_place_back_and_is_counted() -> None:
    async def scenario(client: Client) -> None:
        client.send(1)
        client.send(2)
        await asyncio.sleep(0.05)
        client.leave()
        await client.ended()
        assert outcomes(client.service) == {"abandoned": 2}

    streamed(scenario, FakeTriton(slow(0.5)))


def test_a_client_that_does_not_read_holds_no_more_than_a_frame_of_each_task() -> None:
    async def scenario(client: Client) -> None:
        await client.frame(0)
        client.reads.clear()
        for seq in range(1, 200):
            client.send(seq)
        await asyncio.sleep(5.0)
        assert client._incoming.qsize() >= 190, "it is read no further"
        client.reads.set()
        await client.frame(199)
        assert sorted(frame["seq"] for frame in client.frames[1:]) == list(range(1, 200))

    streamed(scenario)


def test_a_server_that_is_stopped_says_so_and_closes() -> None:
    async def scenario(client: Client) -> None:
        await client.frame(0)
        client.send(1)
        await asyncio.sleep(0.01)
        client.service.instance.is_draining = True
        client.send(2)
        await client.ended()
        assert [frame.get("error", "chunk") for frame in client.frames[1:]] == ["chunk", "draining"]
        assert client.closed == (1001, "draining: this instance is shutting down; connect to another")

    streamed(scenario, FakeTriton(slow(0.4)))


def test_a_server_whose_model_is_not_there_yet_says_when_to_come_back() -> None:
    def warming(service: ActService) -> ActService:
        service.router.first.loaded.vitals.warming_reason = "loading"
        return service

    async def scenario(client: Client) -> None:
        await client.ended()
        assert client.closed is not None
        assert client.closed[0] == 1013
        assert client.closed[1].startswith("warming_up")

    streamed(scenario, change=warming)


def test_with_two_policies_every_frame_says_which_one_answered() -> None:
    async def scenario(client: Client) -> None:
        assert "policy_slot" not in await client.frame(0)
        client.send_raw(msgpack.packb({"type": "hello", "episode_id": "e", "instruction": "pick"}))
        client.send(1)
        client.send(2, state=[])
        for number in (1, 2, 3):
            frame = await client.frame(number)
            assert (frame["policy_slot"], frame["routing_key"], frame["routing_degraded"]) == ("b", "e", False)
            assert frame["model_version"].startswith("other@")

    streamed(scenario, second=FakeTriton(), split=0)


def test_a_resent_observation_gets_the_same_answer_without_the_model() -> None:
    async def scenario(client: Client) -> None:
        client.send(1, episode_id="e", request_id="r")
        await client.frame(1)
        again = Client(client.service, client.triton, client.now)
        again.open()
        again.send(1, episode_id="e", request_id="r")
        assert (await again.frame(1))["actions"] == client.frames[1]["actions"]
        assert len(client.triton.calls) == 1
        again.leave()
        await again.ended()

    streamed(scenario)
