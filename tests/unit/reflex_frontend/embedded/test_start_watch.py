"""When a Triton waits in vain for the process of a model, and when only somebody else's process has died."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from reflex_frontend.embedded import start_watch
from reflex_frontend.embedded.start_watch import (
    BREATH_TICKS,
    DIED,
    STILL_LOOKS,
    dead_before_serving,
    still_before_serving,
    unless_one_dies,
    waits_in_vain,
)

LOOKS = 20


@dataclass
class Looks:
    """A Triton, and the dead of its group as each look finds them; the last stays, and after `limit` Triton ends."""

    found: list[set[int]]
    pid: int = 5
    serving: bool = False
    count: int = 0
    limit: int = LOOKS
    log: Any = field(init=False)
    died_loading: dict[int, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = self

    @property
    def is_running(self) -> bool:
        return self.count < self.limit

    def dead(self, _group: int) -> frozenset[int]:
        self.count += 1
        return frozenset(self.found[min(self.count, len(self.found)) - 1])


def looking(monkeypatch: pytest.MonkeyPatch, *found: set[int]) -> Any:
    looks = Looks(list(found))
    monkeypatch.setattr(start_watch, "zombies_of_group", looks.dead)
    monkeypatch.setattr(start_watch, "LOOK_S", 0.0)
    return looks


@pytest.mark.parametrize(
    ("found", "is_dead"),
    [([set(), {7}], True), ([{7}, {7, 8}], True), ([{7}, {8}, {9}, set()], False), ([set()], False)],
)
def test_a_start_is_in_vain_when_one_of_the_dead_stays(
    monkeypatch: pytest.MonkeyPatch, found: list[set[int]], is_dead: bool
) -> None:
    assert asyncio.run(dead_before_serving(looking(monkeypatch, *found))) is is_dead


@pytest.mark.parametrize(
    ("cpu_ticks", "is_still"),
    [
        ([7], True),
        ([5, 500, 900], True),
        ([*range(BREATH_TICKS)], True),
        ([None], False),
        ([*range(0, 3 * STILL_LOOKS * BREATH_TICKS, BREATH_TICKS)], False),
        ([70] * STILL_LOOKS + [140] * STILL_LOOKS + [None], False),
        ([7, None] * STILL_LOOKS, False),
    ],
    ids=[
        "still",
        "after some work",
        "looks whether others live",
        "waits for a core or a disk",
        "works",
        "slow",
        "now and then",
    ],
)
def test_a_start_is_in_vain_when_nothing_of_it_has_computed_for_long(
    monkeypatch: pytest.MonkeyPatch, cpu_ticks: list[int | None], is_still: bool
) -> None:
    looks = Looks([], limit=3 * STILL_LOOKS)

    def ticks(_group: int) -> int | None:
        looks.count += 1
        return cpu_ticks[min(looks.count, len(cpu_ticks)) - 1]

    monkeypatch.setattr(start_watch, "idle_ticks_of_group", ticks)
    monkeypatch.setattr(start_watch, "LOOK_S", 0.0)
    assert asyncio.run(still_before_serving(looks)) is is_still  # type: ignore[arg-type]


async def load(triton: Any) -> None:
    """It ends when Triton does."""
    async with unless_one_dies(triton, ["policy", "policy_encoder"]):
        while triton.is_running:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


def test_a_load_ends_when_a_process_dies_meanwhile_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    triton = looking(monkeypatch, set(), {7})
    with pytest.raises(TimeoutError, match=DIED):
        asyncio.run(load(triton))
    assert triton.count < LOOKS


@pytest.mark.parametrize("found", [[{7}], [{7}, {7, 8}, {7, 9}, {7}]], ids=["dead before", "collected"])
def test_a_load_goes_on_beside_who_died_before_it_and_who_is_collected(
    monkeypatch: pytest.MonkeyPatch, found: list[set[int]]
) -> None:
    asyncio.run(load(looking(monkeypatch, *found)))


def test_an_error_of_the_load_itself_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> None:
        async with unless_one_dies(looking(monkeypatch, set()), []):
            raise OSError("its own")

    with pytest.raises(OSError, match="its own"):
        asyncio.run(fails())


@pytest.mark.parametrize(
    ("found", "models", "is_in_vain"),
    [
        ([set(), {7}], ["policy"], True),
        ([set(), {7}], ["variant", "policy_encoder"], True),
        ([set(), {7}], ["other"], False),
        ([set(), {7}, {7}, set()], ["policy"], False),
        ([set(), {7}, {7}, {8}], ["policy"], False),
    ],
    ids=["again", "a shared model", "another policy", "given up", "somebody else's process"],
)
def test_a_model_is_waited_for_in_vain_until_triton_has_collected_who_died_in_its_load(
    monkeypatch: pytest.MonkeyPatch, found: list[set[int]], models: list[str], is_in_vain: bool
) -> None:
    triton = looking(monkeypatch, *found)

    async def load_and_ask() -> bool:
        with pytest.raises(TimeoutError, match=DIED):
            await load(triton)
        return await waits_in_vain(triton, models)

    assert asyncio.run(load_and_ask()) is is_in_vain
