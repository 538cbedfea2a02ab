"""`reflex serve --prefix-cache-mb` with the demo policy on real Triton: exact, bounded, quicker.

`REFLEX_PREFIX_EPISODES` is how many episodes a server sees.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from reflex_frontend.act.act import ActService
from reflex_frontend.act.resent import ResentAnswers
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.motion.prefixes import PrefixCache
from reflex_frontend.motion.rtc import RealTimeChunking
from reflex_frontend.observation.observation import NoiseSource
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.inference import ModelRunner
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.policy.workers import Workers
from reflex_frontend.triton.gateway import TritonGateway
from support.fakes import InlineExecutor
from support.hostile import PATIENT
from support.motion.repeated import Repeating, answered, check_repeats
from support.promise import Promise
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S

REPOSITORY = Path(__file__).parents[3] / "model_repository"
MAX_MB = 0.6
EPISODES = int(os.environ.get("REFLEX_PREFIX_EPISODES", "150"))
RSS_BYTES = 20_000_000
"""What a server may grow by besides."""
ROUNDS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server("--prefix-cache-mb", str(MAX_MB), "--no-guard") as running:
        yield running


@pytest.fixture
def repeating(server: ServerProcess) -> Repeating:
    return Repeating(server.base_url, load_policy(REPOSITORY, "demo"))


@pytest.mark.slow
def test_the_demo_policy_answers_the_same_from_a_kept_prefix(server: ServerProcess) -> None:
    check_repeats(server.base_url, load_policy(REPOSITORY, "demo"))


def service(gateway: TritonGateway, *, keeps: bool) -> ActService:
    """All of `/act` in this process, with real-time chunking, over the Triton of the server."""
    now, policy = time.monotonic, load_policy(REPOSITORY, "demo")
    vitals = Vitals(now, Breaker(now), warming_reason=None)
    admission = Admission("demo", 1, 1, now)
    workers = Workers(InlineExecutor(), now)
    runner = ModelRunner(policy, gateway, admission, vitals)
    slot = Slot("a", LoadedPolicy(policy, None, admission, runner, vitals, gateway, NoiseSource(), workers))
    prefixes = PrefixCache(now, 10_000_000) if keeps else None
    metrics, resent = Metrics.of_one(policy, None), ResentAnswers[Any](now)
    return ActService(
        Router({"a": slot}), Instance(now), metrics, resent, workers, rtc=RealTimeChunking(now), prefixes=prefixes
    )


@pytest.mark.slow
def test_chunks_continue_each_other_alike_with_and_without(server: ServerProcess, repeating: Repeating) -> None:
    steps = {"executed_steps": 5, "inference_delay_steps": 3, "episode_id": "e"}
    bodies = [{**repeating.body, **({} if seed == 0 else steps), "episode_id": "e", "seed": seed} for seed in range(6)]

    async def answers(*, keeps: bool) -> list[dict[str, Any]]:
        gateway = TritonGateway(server.triton_address(), "demo", ("actions", "actions_normalized"))
        act = service(gateway, keeps=keeps)
        try:
            return [
                orjson.loads(await act.answer(orjson.dumps(body), Exchange.begin(time.monotonic(), 10_000)))
                for body in bodies
            ]
        finally:
            await gateway.close()

    kept, whole = asyncio.run(answers(keeps=True)), asyncio.run(answers(keeps=False))
    assert [answer["cache_hit"] for answer in kept] == [False] + [True] * 5
    assert [answer["rtc_applied"] for answer in kept] == [False] + [True] * 5
    assert [answer["actions"] for answer in kept] == [answer["actions"] for answer in whole]


def prefix_metrics(server: ServerProcess) -> dict[str, float]:
    text = httpx.get(f"{server.base_url}/metrics", timeout=HANGS_S, verify=False).text
    return {name: float(value) for name, value in re.findall(r"^reflex_(prefix_cache\S*) (\S+)$", text, re.MULTILINE)}


@pytest.mark.slow
def test_episode_after_episode_takes_no_more_memory_than_it_may(server: ServerProcess, repeating: Repeating) -> None:
    before = prefix_metrics(server)
    frontend = psutil.Process(server.process.pid)
    most, warm_bytes = 0.0, 0
    body = {**repeating.body, "seed": 1}
    with httpx.Client(base_url=server.base_url, headers=PATIENT, timeout=HANGS_S, verify=False) as client:
        for number in range(EPISODES):
            answer = answered(client, {**body, "episode_id": f"episode-{number}"})
            assert answer["cache_hit"] is False
            if number == EPISODES // 3:
                warm_bytes = frontend.memory_info().rss
            if number % 100 == 0:
                most = max(most, prefix_metrics(server)["prefix_cache_bytes"])
    after = prefix_metrics(server)
    assert 0.5 * MAX_MB * 1e6 < max(most, after["prefix_cache_bytes"]) <= MAX_MB * 1e6
    assert after["prefix_cache_evicted_total"] - before["prefix_cache_evicted_total"] >= EPISODES - 20
    missed = 'prefix_cache_total{policy_slot="a",result="miss"}'
    assert after[missed] - before.get(missed, 0.0) == EPISODES, "the first answer makes the metric"
    assert frontend.memory_info().rss - warm_bytes < RSS_BYTES
    assert repeating.act(f"episode-{EPISODES - 1}", 2)["cache_hit"]


@pytest.mark.slow
def test_an_answer_from_a_kept_prefix_is_quicker(repeating: Repeating, promise: Promise) -> None:
    took: dict[bool, list[float]] = {False: [], True: []}
    rounds = ROUNDS if promise.is_measured else 4
    for number in range(rounds):
        for seed in range(3):
            answer = repeating.act(f"timed-{number}", seed)
            took[answer["cache_hit"]].append(answer["timing"]["infer_ms"])
    assert (len(took[False]), len(took[True])) == (rounds, 2 * rounds)
    hit_ms, miss_ms = (statistics.quantiles(took[is_hit], n=10)[0] for is_hit in (True, False))
    ratio = hit_ms / miss_ms  # of the quickest tenth: what else the machine does makes both slower
    promise("the model takes at most 0.95 of its time when the observation is the same", ratio, at_most=0.95, unit="x")
