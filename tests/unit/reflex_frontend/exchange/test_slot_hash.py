"""The split holds, an episode keeps its slot, and every implementation of the rule gives the same."""

from __future__ import annotations

import random

import pytest

from reflex_frontend.exchange.slot_hash import draw_slot, slot_of

SPLITS = [0, 20, 50, 80, 100]
# By hand: printf '%s' ID | sha256sum | cut -c1-16, then that number modulo 100.
KNOWN_BUCKETS = {"": 52, "a": 50, "episode-1": 21, "ep-42": 80, "é": 51}


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("form", ["episode-{}", "{:032x}", "robot/7/run {}", "日本-{}"])
def test_ten_thousand_episodes_split_within_a_point_and_a_half(form: str, split: int) -> None:
    in_a = sum(slot_of(form.format(number), split) == "a" for number in range(10_000))

    assert abs(in_a / 100 - split) <= 1.5


@pytest.mark.parametrize(("episode_id", "bucket"), KNOWN_BUCKETS.items())
def test_known_episodes_lie_in_their_bucket(episode_id: str, bucket: int) -> None:
    assert slot_of(episode_id, bucket) == "b"
    assert slot_of(episode_id, bucket + 1) == "a"


def test_a_larger_split_moves_no_episode_from_a_to_b() -> None:
    for number in range(500):
        slots = [slot_of(f"episode-{number}", split) for split in range(101)]
        assert slots == sorted(slots, reverse=True)


@pytest.mark.parametrize("split", SPLITS)
def test_requests_without_an_episode_split_within_a_point_and_a_half(split: int) -> None:
    draw = random.Random(7).random
    in_a = sum(draw_slot(split, draw) == "a" for _ in range(10_000))

    assert abs(in_a / 100 - split) <= 1.5


@pytest.mark.parametrize(("drawn", "slot"), [(0.0, "a"), (0.1999, "a"), (0.2, "b"), (0.9999, "b")])
def test_a_draw_below_the_split_is_a(drawn: float, slot: str) -> None:
    assert draw_slot(20, lambda: drawn) == slot
