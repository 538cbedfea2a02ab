"""The later requests of a connection are answered as the first one: nothing that guards pipelining delays them.

Counted in turns of the event loop, which no busy machine changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from reflex.serving.turnstile import Turnstile
from reflex_frontend.http.protocol import BoundedProtocol
from support.misuse.one_connection import ACT, Client, connected, echo

REQUESTS = 20
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class Turns:
    """The turn of the loop in which each request came, began, and was answered; and who had to stand in line."""

    def __init__(self) -> None:
        self.now = 0
        self.came: list[int] = []
        self.began: list[int] = []
        self.answered: list[int] = []
        self.in_line = 0

    def turn(self) -> None:
        self.now += 1
        asyncio.get_running_loop().call_soon(self.turn)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began.append(self.now)
        await echo(scope, receive, send)
        self.answered.append(self.now)

    def waited(self) -> set[tuple[int, int]]:
        """From its last byte to its beginning, and to its answer, of each request."""
        whole = zip(self.came, self.began, self.answered, strict=True)
        return {(began - came, answered - came) for came, began, answered in whole}


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    turns = Turns()
    received, stand_in_line = BoundedProtocol.data_received, Turnstile.wait

    def note_received(protocol: BoundedProtocol, data: bytes) -> None:
        turns.came.append(turns.now)
        received(protocol, data)

    def note_in_line(turnstile: Turnstile, go_on: Callable[[], None]) -> None:
        turns.in_line += 1
        stand_in_line(turnstile, go_on)

    monkeypatch.setattr(BoundedProtocol, "data_received", note_received)
    monkeypatch.setattr(Turnstile, "wait", note_in_line)
    return turns


@pytest.mark.parametrize("sizes", [[4] * REQUESTS, [0, 9_000, 1, 15_000] * (REQUESTS // 4)], ids=["alike", "mixed"])
def test_every_request_begins_in_the_turn_after_it_came_and_is_answered_in_that(turns: Turns, sizes: list[int]) -> None:
    async def scenario(client: Client) -> None:
        turns.turn()
        for size in sizes:
            client.send(ACT.replace(b"4", str(size).encode()) + b"x" * size)
            assert (await client.answer())[::2] == (200, str(size).encode())

    connected(scenario, app=turns)
    assert (turns.waited(), turns.in_line) == ({(1, 1)}, 0)


def test_requests_of_different_kinds_may_follow_each_other(turns: Turns) -> None:
    async def scenario(client: Client) -> None:
        turns.turn()
        for number in range(REQUESTS):
            client.send(GET if number % 2 else ACT + b"body")
            assert (await client.answer())[::2] == (200, b"0" if number % 2 else b"4")

    connected(scenario, app=turns)
    assert (turns.waited(), turns.in_line) == ({(1, 1)}, 0)


def test_a_connection_that_has_pipelined_once_is_as_quick_again_afterwards(turns: Turns) -> None:
    async def scenario(client: Client) -> None:
        client.send(3 * (ACT + b"body"))
        assert [(await client.answer())[2] for _ in range(3)] == [b"4"] * 3
        assert turns.in_line > 0
        turns.came, turns.began, turns.answered, turns.in_line = [], [], [], 0
        turns.turn()
        for _ in range(REQUESTS):
            client.send(ACT + b"body")
            assert (await client.answer())[2] == b"4"

    connected(scenario, app=turns)
    assert (turns.waited(), turns.in_line) == ({(1, 1)}, 0)
