"""Two servers, asked in turns: one process for a policy against one for each of its models, or this version against
an older one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reflex_bench.loads import Call, Row, closed_loop, percentile, sequential
from reflex_bench.observation import jpeg_base64
from reflex_bench.request_path.calls import act_calls, direct_calls
from reflex_bench.server import Served

__all__ = ["Ways", "compare", "crossings_rows"]

CLIENTS: Final = 8
ROUNDS: Final = 20
"""Short ones, so that the machine's moods meet both servers."""
CALLS: Final = 50
LOADS: Final = 4
MOST: Final = {"direct gRPC": 0.6, "/act": 0.65}
LEAST_GAIN: Final = 1.4
WARM_S: Final = 0.5
THREE_AND_ONE: Final = ("three processes", "one process")


@dataclass(frozen=True, slots=True)
class Ways:
    """The two paths to one server: its clients' calls."""

    act: list[Call]
    direct: list[Call]

    def all(self) -> dict[str, list[Call]]:
        """By their names in the table."""
        return {"direct gRPC": self.direct, "/act": self.act}


async def crossings_rows(
    before: Served, after: Served, seconds: float, names: tuple[str, str] = THREE_AND_ONE
) -> list[Row]:
    """`before` keeps ensembles or is an older version, `after` runs a policy's models in one process."""
    closings, ways = [], []
    for served in (before, after):
        image = jpeg_base64()
        direct, close = direct_calls(served, image, CLIENTS)
        closings.append(close)
        ways.append(Ways(await act_calls(served, image, CLIENTS), direct))
    rows = await compare(ways[0], ways[1], seconds, names=names)
    for close in closings:
        await close()
    return rows


async def compare(
    before: Ways, after: Ways, seconds: float, rounds: int = ROUNDS, names: tuple[str, str] = THREE_AND_ONE
) -> list[Row]:
    """Medians and rates of both, and their ratios with the targets of docs/benchmarks.md."""
    for ways in (before, after):
        await closed_loop(ways.act, WARM_S)
        await closed_loop(ways.direct, WARM_S)
    rows = []
    for name, most in MOST.items():
        rows += await _latencies(name, (before.all()[name][0], after.all()[name][0]), most, rounds, names)
    return rows + await _rates(before, after, seconds, names)


async def _latencies(
    name: str, calls: tuple[Call, Call], most: float, rounds: int, names: tuple[str, str]
) -> list[Row]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for some, call in zip(times, calls, strict=True):
            some += await sequential(call, CALLS)
    first, second = (1e3 * percentile(some, 0.5) for some in times)
    ratio = second / first
    return [
        Row(f"{name} p50, {names[0]}", first, "ms"),
        Row(f"{name} p50, {names[1]}", second, "ms"),
        Row(f"{name} p50, {names[1]} over {names[0]}", ratio, "x", f"<= {most}", ratio <= most),
    ]


async def _rates(before: Ways, after: Ways, seconds: float, names: tuple[str, str]) -> list[Row]:
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(LOADS):
        for some, ways in zip(rates, (before, after), strict=True):
            some.append((await closed_loop(ways.act, seconds / LOADS))[0])
    first, second = (sum(some) / len(some) for some in rates)
    gain = second / first
    return [
        Row(f"/act, {CLIENTS} clients, {names[0]}", first, "/s"),
        Row(f"/act, {CLIENTS} clients, {names[1]}", second, "/s"),
        Row(f"/act, {CLIENTS} clients, {names[1]} over {names[0]}", gain, "x", f">= {LEAST_GAIN}", gain >= LEAST_GAIN),
    ]
