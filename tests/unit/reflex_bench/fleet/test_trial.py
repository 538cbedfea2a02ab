"""A fleet at a server, and the largest one that it serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from reflex_bench.fleet.robots import Robot, Score, fleet
from reflex_bench.fleet.trial import Way, drive, most_robots
from reflex_bench.http_load import Answer, http_request
from support.fakes import run_virtual
from support.streams.listening import listening

Answers = Callable[[int], Awaitable[tuple[int, bytes]]]


def robots_served(capacity: int, most: int) -> tuple[int, list[int]]:
    tried: list[int] = []

    async def kept_share(count: int) -> float:
        tried.append(count)
        return 1.0 if count <= capacity else 0.9

    return run_virtual(lambda _now: most_robots(kept_share, most)), tried


@pytest.mark.parametrize("capacity", [0, 1, 7, 24, 25])
def test_the_largest_fleet_is_found_to_the_robot_while_it_is_small(capacity: int) -> None:
    assert robots_served(capacity, 60)[0] == capacity


def test_a_large_one_is_found_within_a_few_percent_and_in_a_few_trials() -> None:
    found, tried = robots_served(150, 1000)
    assert 144 <= found <= 150
    assert len(tried) <= 9


def test_no_more_are_served_than_were_tried() -> None:
    assert robots_served(500, 20)[0] == 20


def request(robot: Robot, deadline_ms: int) -> bytes:
    return http_request("POST", "/act", b"x", {"x-robot": str(robot.number), "x-reflex-deadline-ms": str(deadline_ms)})


def is_right(robot: Robot, answer: Answer) -> bool:
    return answer.body == b"%d" % robot.number


def scored(answers: Answers, count: int, *, line: bool = False, tells: bool = True) -> tuple[Score, list[int], int]:
    """The score, the deadlines that were named, and how many requests were there at once."""
    deadlines: list[int] = []
    inside = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal inside, most
        while head := await reader.readuntil(b"\r\n\r\nx"):
            inside += 1
            most = max(most, inside)
            number = int(head.partition(b"x-robot: ")[2].split()[0])
            deadlines.append(int(head.partition(b"deadline-ms: ")[2].split()[0]))
            status, body = await answers(number)
            inside -= 1
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await serve(reader, writer)

    async def main() -> Score:
        async with listening(quietly) as port:
            way = Way("a way", port, request, is_right, tells_deadlines=tells, line=asyncio.Lock() if line else None)
            return await drive(way, fleet(count), 1.0)

    return asyncio.run(main()), deadlines, most


async def right(number: int) -> tuple[int, bytes]:
    return 200, b"%d" % number


def test_every_answer_is_counted_as_what_it_is() -> None:
    async def by_robot(number: int) -> tuple[int, bytes]:
        return [(200, b"0"), (503, b"queue_full"), (504, b""), (200, b"7"), (500, b"")][number % 5]

    score, deadlines, _ = scored(by_robot, 25)
    assert min(score.kept, score.refused, score.late, score.wrong, score.mixed_up) > 0
    assert score.asked == len(deadlines)
    assert {500, 833, 1250} <= set(deadlines)


def test_one_queue_is_told_no_deadlines_and_lets_one_request_through_at_a_time() -> None:
    async def slowly(number: int) -> tuple[int, bytes]:
        await asyncio.sleep(0.01)
        return await right(number)

    score, deadlines, most = scored(slowly, 40, line=True, tells=False)
    assert (set(deadlines), most) == ({10_000}, 1)
    assert score.asked == len(deadlines)
