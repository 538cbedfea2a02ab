"""The comparison of `make bench`: in turns, and as good or bad as its ratios say."""

from __future__ import annotations

import asyncio

import pytest

from reflex_bench.loads import Call
from reflex_bench.request_path import crossings
from reflex_bench.request_path.crossings import CLIENTS, ROUNDS, Ways, compare


def ways(name: str, said: list[str]) -> Ways:
    async def call() -> None:
        said.append(name)

    calls: list[Call] = [call] * CLIENTS
    return Ways(act=calls, direct=calls)


@pytest.mark.parametrize(("one_s", "is_met"), [(0.001, True), (0.004, False)])
def test_targets_are_met_or_missed_by_the_ratios_of_one_run(
    monkeypatch: pytest.MonkeyPatch, one_s: float, is_met: bool
) -> None:
    said: list[str] = []
    took_s = {"three": 0.002, "one": one_s}

    async def sequential(call: Call, count: int) -> list[float]:
        await call()
        return [took_s[said[-1]]] * count

    async def closed_loop(calls: list[Call], _duration_s: float) -> tuple[float, list[float]]:
        await calls[0]()
        return 1 / took_s[said[-1]], []

    monkeypatch.setattr(crossings, "sequential", sequential)
    monkeypatch.setattr(crossings, "closed_loop", closed_loop)
    rows = asyncio.run(compare(ways("three", said), ways("one", said), 0.0))
    assert [(row.ok, row.target) for row in rows if row.target] == [
        (is_met, "<= 0.6"),
        (is_met, "<= 0.65"),
        (is_met, ">= 1.4"),
    ]
    warm_up = 4
    assert said[warm_up : warm_up + 2 * ROUNDS] == ["three", "one"] * ROUNDS
