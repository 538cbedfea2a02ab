"""What is kept of episodes' observations stays within its bound and its time, and is told in the metrics."""

from __future__ import annotations

import mmap
import weakref

import numpy as np
import pytest

from reflex_frontend.motion.leftovers import KEPT_S
from reflex_frontend.motion.prefixes import PrefixCache
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.triton.gateway import RawTensor
from reflex_frontend.triton.stages import Prefix, PrefixMemory
from support.fakes import served_policy
from support.motion.staged import staged_config, staged_policy
from unit.reflex_frontend.motion.prefix_scene import ROOM, Scene, asked_in, play


def test_the_metrics_count_hits_misses_bytes_and_what_had_to_go() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.hits({}, {}, {"episode_id": "f"}, {"episode_id": None})
        metrics, prefixes = scene.service.metrics, scene.prefixes
        await scene.wait(KEPT_S + 1)
        prefixes.forget_expired()
        metrics.prefixes.show(prefixes.kept_bytes, prefixes.evicted_total)
        text = metrics.exposition().decode()
        assert 'reflex_prefix_cache_total{policy_slot="a",result="hit"} 1.0' in text
        assert 'reflex_prefix_cache_total{policy_slot="a",result="miss"} 3.0' in text
        assert "reflex_prefix_cache_bytes 0.0" in text
        assert "reflex_prefix_cache_evicted_total 2.0" in text

    play(scenario)


def test_an_episode_is_forgotten_when_nobody_asked_for_so_long_and_not_before() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act()
        for _ in range(3):
            await scene.wait(KEPT_S - 1)
            assert await scene.hits({}) == [True]
        await scene.wait(KEPT_S + 1)
        assert await scene.hits({}) == [False]

    play(scenario)


def test_what_was_used_longest_ago_makes_room() -> None:
    async def scenario(scene: Scene) -> None:
        names = [{"episode_id": name} for name in "abc"]
        await scene.hits(*names)
        one = scene.prefixes.kept_bytes // 3
        scene.prefixes.max_bytes = 3 * one
        assert await scene.hits(names[0], {"episode_id": "d"}) == [True, False]
        assert await scene.hits(names[0], names[2], names[1]) == [True, True, False]
        assert scene.prefixes.evicted_total == 2

    play(scenario)


def test_an_observation_that_is_larger_than_all_there_is_runs_as_a_whole() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.hits({}, {}, {}) == [False] * 3
        assert (scene.ran(), scene.prefixes.kept_bytes) == ({"ensemble": 3}, 0)

    play(scenario, max_bytes=2_000)


class Region(mmap.mmap):
    """Memory of real size that costs nothing until somebody writes to it."""


@pytest.mark.slow
def test_ten_thousand_episodes_of_real_size_never_take_more_than_they_may() -> None:
    keys_bytes, max_bytes = 5_000_000, 100_000_000
    live: weakref.WeakSet[Region] = weakref.WeakSet()
    cache = PrefixCache(lambda: 0.0, max_bytes)
    policy = staged_policy(served_policy(staged_config()))
    pixels = np.zeros((224, 224, 3), np.uint8)
    observed = [RawTensor("image.base", "UINT8", (1, *pixels.shape), pixels.data)]

    def prefix() -> Prefix:
        regions = [Region(-1, keys_bytes) for _ in range(2)]
        live.update(regions)
        return tuple(RawTensor(str(n), "FP32", (1, keys_bytes // 4), memoryview(r)) for n, r in enumerate(regions))

    most = 0
    for number in range(10_000):
        memory = memory_of(cache, f"episode-{number}", policy)
        assert memory.find(observed) is None
        memory.keep(observed, prefix())
        assert cache.kept_bytes <= max_bytes
        most = max(most, len(live))
    assert most * keys_bytes <= max_bytes
    assert cache.evicted_total == 10_000 - len(cache)
    assert len(cache) == max_bytes // (2 * keys_bytes + pixels.nbytes + 2_048)
    assert memory_of(cache, "episode-9999", policy).find(observed) is not None


def memory_of(cache: PrefixCache, episode: str, policy: ServedPolicy) -> PrefixMemory:
    call = cache.call(asked_in(episode), policy)
    assert call is not None
    return call.memory


def test_an_episode_takes_its_observation_its_prefix_and_two_kilobytes() -> None:
    cache = PrefixCache(lambda: 0.0, ROOM)
    memory = memory_of(cache, "e", staged_policy(served_policy(staged_config())))
    observed = [RawTensor("image.base", "UINT8", (1, 2, 2, 3), bytes(12))]
    assert memory.find(observed) is None
    memory.keep(observed, (RawTensor("keys", "FP16", (1, 50), bytes(100)),))
    assert cache.kept_bytes == 12 + 100 + 2_048


def test_a_body_that_a_picture_is_part_of_is_not_kept_with_it() -> None:
    cache = PrefixCache(lambda: 0.0, ROOM)
    policy = staged_policy(served_policy(staged_config()))
    body = Region(-1, 8_000_000)
    memory = memory_of(cache, "e", policy)
    memory.keep([RawTensor("image.base", "UINT8", (1, 2, 2, 3), memoryview(body)[:12])], None)
    gone = weakref.ref(body)
    del body
    assert gone() is None
    assert cache.kept_bytes < 10_000
