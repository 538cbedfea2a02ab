"""When a frontend answers no more the next one is asked, if it serves the very same policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reflex.connector import Observation
from reflex.errors import ReflexError, TransportError, service_error
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.several import AGAIN_S, PATIENCE_S, SeveralServers

SEEN = Observation(np.zeros(6, np.float32))
GONE = TransportError("gone")
BUSY = service_error("unavailable", "it starts")


class World:
    """Three servers by their names, each with what it answers; and a clock."""

    def __init__(self, *, same: tuple[str, ...] = ("a", "b", "c")) -> None:
        self.now_s = 100.0
        self.faults: dict[str, ReflexError] = {}
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


@pytest.mark.parametrize("code", ["unauthorized", "forbidden", "rate_limited"])
def test_what_every_server_would_refuse_moves_nobody(code: str) -> None:
    world = World()
    world.faults["a"] = service_error(code, "no")
    assert set(world.ask_for(2.0)) == {code}
    assert world.servers.url == "a"
