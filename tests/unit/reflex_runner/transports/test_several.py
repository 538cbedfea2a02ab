"""When a frontend answers no more the next one is asked, if it serves the very same policy."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import httpx
import numpy as np
import pytest

from reflex.client import MockTransport, chunk
from reflex.client.mock import MockAnswer
from reflex.connector import Observation
from reflex.errors import ReflexError, ServiceError, TransportError, service_error
from reflex_runner.config.sections import TargetConfig
from reflex_runner.loop.inference import is_passing
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.act import ActTransport
from reflex_runner.transports.several import AGAIN_S, PATIENCE_S, SeveralServers
from reflex_runner.transports.transport import Asking

SEEN = Observation(np.zeros(6, np.float32))
GONE = TransportError("gone")
BUSY = service_error("unavailable", "it starts")


class World:
    """Three servers by their names, each with what it answers; and a clock."""

    def __init__(self, *, same: tuple[str, ...] = ("a", "b", "c")) -> None:
        self.now_s = 100.0
        self.faults: dict[str, ReflexError] = {}
        self.refusals: dict[str, ServiceError] = {}
        """What servers say that can be opened, but answer nothing."""
        self.same = same
        self.told: list[Any] = []
        self.servers = SeveralServers(("a", "b", "c"), lambda url: Server(url, self), self.is_the_same, self)

    def now(self) -> float:
        return self.now_s

    def sleep_until(self, moment: float) -> None:
        self.now_s = moment

    def is_the_same(self, url: str) -> bool:
        self.check(url)
        return url in self.same

    def check(self, url: str) -> None:
        if url in self.faults:
            raise self.faults[url]

    def ask(self, executed_steps: int | None = 4) -> str:
        """Who answered, or what was raised."""
        try:
            chunk = self.servers.ask(0, SEEN, executed_steps=executed_steps)
        except ReflexError as exc:
            return exc.code
        return str(chunk.answer["url"])

    def ask_for(self, duration_s: float) -> list[str]:
        ends_s, said = self.now_s + duration_s, list[str]()
        while self.now_s < ends_s:
            said.append(self.ask())
            self.now_s += 0.1
        return said


class Server:
    control_hz = 30.0

    def __init__(self, url: str, world: World) -> None:
        self.url, self.world = url, world

    def open(self) -> None:
        self.world.check(self.url)
        self.world.told.append(f"open {self.url}")

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        self.world.check(self.url)
        self.world.told.append((self.url, executed_steps))
        if self.url in self.world.refusals:
            raise self.world.refusals[self.url]
        actions = np.zeros((1, 6), np.float32)
        return DatedChunk(seq, observation.captured_s, 0.0, actions, 1 / 30, {"url": self.url})

    def close(self) -> None:
        self.world.told.append(f"close {self.url}")


@pytest.mark.parametrize("fault", [GONE, BUSY])
def test_the_next_one_is_asked_when_the_first_fails_for_a_while_and_knows_nothing_of_before(fault: ReflexError) -> None:
    world = World()
    world.servers.open()
    assert world.ask() == "a"
    world.faults["a"] = fault
    said = world.ask_for(PATIENCE_S + 0.3)
    assert said[:4] == [fault.code] * 4
    assert said[-1] == "b"
    assert world.servers.url == "b"
    assert world.told[2:5] == ["open b", "close a", ("b", None)], "its first chunk continues none"
    world.ask()
    assert world.told[-1] == ("b", 4)


def test_a_failure_that_passes_moves_nobody() -> None:
    world = World()
    for _ in range(5):
        world.faults["a"] = GONE
        assert world.ask() == "unreachable"
        world.now_s += PATIENCE_S * 0.9
        del world.faults["a"]
        assert world.ask() == "a"
        world.now_s += 10


def test_a_server_with_another_policy_is_never_asked() -> None:
    world = World(same=("a", "c"))
    world.faults["a"] = GONE
    assert world.ask_for(PATIENCE_S + 0.3)[-1] == "c"
    world.faults["c"] = GONE
    assert "b" not in world.ask_for(10 * AGAIN_S)
    del world.faults["a"]
    assert world.ask_for(2 * AGAIN_S)[-1] == "a", "and back to the first one, when that is there again"


def test_with_no_other_one_the_first_is_asked_on() -> None:
    world = World()
    world.faults = dict.fromkeys("abc", GONE)
    assert set(world.ask_for(2.0)) == {"unreachable"}
    assert world.servers.url == "a"
    world.faults = {"b": GONE, "c": GONE}
    assert world.ask() == "a"


@pytest.mark.parametrize(
    ("code", "retry_after_s"),
    [("draining", 1.0), ("warming_up", 2.0), ("circuit_open", 30.0), ("queue_full", PATIENCE_S)],
)
def test_one_that_will_be_long_is_left_at_once_and_nobody_waits_for_it(code: str, retry_after_s: float) -> None:
    world = World()
    world.refusals["a"] = refusal = service_error(code, "not now", retry_after_s=retry_after_s)
    with pytest.raises(ServiceError, match=f"{code}: not now; b is asked from now on") as raised:
        world.servers.ask(0, SEEN, executed_steps=4)
    assert (raised.value.code, raised.value.retry_after_s) == (code, None)
    assert is_passing(raised.value)
    assert raised.value.__cause__ is refusal
    assert world.ask() == "b"
    assert world.told[-1] == ("b", None)


def test_one_that_will_be_there_soon_is_waited_for_and_keeps_its_word() -> None:
    world = World()
    world.refusals["a"] = service_error("queue_full", "busy", retry_after_s=0.05)
    with pytest.raises(ServiceError) as raised:
        world.servers.ask(0, SEEN, executed_steps=4)
    assert raised.value is world.refusals["a"]
    world.refusals.clear()
    assert world.ask() == "a"


def test_with_no_other_one_its_wait_is_told() -> None:
    world = World(same=("a",))
    world.refusals["a"] = service_error("draining", "not now", retry_after_s=1.0)
    with pytest.raises(ServiceError) as raised:
        world.servers.ask(0, SEEN, executed_steps=4)
    assert raised.value is world.refusals["a"]


def test_where_all_are_to_come_back_to_later_each_is_asked_only_then() -> None:
    world = World()
    world.refusals = {url: service_error("draining", "not now", retry_after_s=1.0) for url in "abc"}
    asked: dict[str, list[float]] = {url: [] for url in "abc"}
    while world.now_s < 110.0:
        asked[world.servers.url].append(world.now_s)
        with pytest.raises(ServiceError) as raised:
            world.servers.ask(0, SEEN, executed_steps=4)
        world.now_s += max(0.05, raised.value.retry_after_s or 0.0)
    gaps = [after - before for times in asked.values() for before, after in itertools.pairwise(times)]
    assert all(asked.values())
    assert min(gaps) >= 0.999


@pytest.mark.parametrize(("retry_after_s", "asked"), [(1.0, "ab"), (0.05, "aa")])
def test_a_refusal_that_takes_long_is_not_waited_out_within_a_request_either(retry_after_s: float, asked: str) -> None:
    acts: list[str] = []

    def answer(request: httpx.Request) -> MockAnswer:
        if request.url.path == "/config":
            return service_error("not_found", "no such route")
        acts.append(request.url.host)
        return (
            service_error("draining", "not now", retry_after_s=retry_after_s) if acts == ["a"] else chunk([[0.0] * 6])
        )

    def made(url: str) -> ActTransport:
        return ActTransport(Asking(TargetConfig(url=url, timeout_s=60), control_hz=30), MockTransport(answer))

    servers = SeveralServers(("http://a", "http://b"), made, lambda _url: True)
    with contextlib.suppress(ServiceError):
        servers.ask(0, SEEN, executed_steps=None)
    if len(acts) == 1:
        servers.ask(1, SEEN, executed_steps=None)
    assert "".join(acts) == asked
    servers.close()


@pytest.mark.parametrize("code", ["unauthorized", "forbidden", "rate_limited"])
def test_what_every_server_would_refuse_moves_nobody(code: str) -> None:
    world = World()
    world.faults["a"] = service_error(code, "no")
    assert set(world.ask_for(2.0)) == {code}
    assert world.servers.url == "a"
