"""Two policies, one of them broken in every way: the other goes on, and no robot ever gets a wrong answer.

Of `make endurance`: faults under load need a machine of their own. REFLEX_CHAOS_REQUESTS sets how many requests
at least go through all of it (1,000).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import orjson
import pytest

from reflex.errors import STATUS_OF
from reflex_bench.nonce_policy import Fault
from support.load import Answer, LoadClient, run, under_load
from support.promise import Promise
from support.server import free_port
from support.two_policies import POLICIES, Policy, TwoPolicies, episodes_of, two_policies
from support.waiting import eventually, let_pass_here

pytestmark = pytest.mark.slow

FAILURES_THAT_OPEN = 5
REQUESTS = int(os.environ.get("REFLEX_CHAOS_REQUESTS", "1000"))
BROKEN_FOR = REQUESTS // 20
"""Requests; and it is well again for as many."""
PAUSE_S = 0.05
"""Between an answer and the robot's next request."""
HUNG_MS = 600_000.0
HUNG_DEADLINE_MS = 500
"""Of what may be asked of a hung model."""
PULSE = "Triton does not answer"
"""Why a machine that has no time for Triton's pulse refuses for a moment; on a quiet one nobody is."""
SLOT, DEGRADED = "x-reflex-policy-slot", "x-reflex-routing-degraded"


@pytest.fixture(scope="module")
def admin_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, admin_port: int) -> Iterator[TwoPolicies]:
    with two_policies(tmp_path_factory.mktemp("two"), admin_port=admin_port) as running:
        yield running


@pytest.fixture(autouse=True)
def mended(server: TwoPolicies) -> Iterator[None]:
    """What a test breaks is well again after it."""
    yield
    for policy in POLICIES:
        server.behave(policy)


async def ask(client: LoadClient, episode: str, deadline_ms: float = 10_000) -> Answer:
    return await client.act(episode_id=episode, deadline_ms=deadline_ms)


async def comes_back(client: LoadClient) -> None:
    """Both slots answer their own episodes again."""
    a, b = next(episodes_of("a")), next(episodes_of("b"))

    async def is_back() -> bool:
        answers = [await ask(client, episode, HUNG_DEADLINE_MS) for episode in (a, b)]
        return [(answer.is_right, answer.headers[DEGRADED]) for answer in answers] == [(True, "false")] * 2

    await eventually(is_back, "both slots answer their own episodes")


def assert_tabled(answer: Answer) -> None:
    """Right, or an error of the table with all that belongs to it."""
    if answer.status == 200:
        assert answer.is_right, "a wrong answer"
        return
    assert STATUS_OF[answer.code] == answer.status, str(answer)
    assert answer.status in (500, 503, 504), str(answer)
    assert answer.status != 503 or int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("fault", ["wrong_shape", "nan", "error", "hang", "exit"])
def test_a_broken_slot_opens_alone_and_the_other_answers_its_episodes(
    server: TwoPolicies, promise: Promise, fault: str
) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            await comes_back(client)
            broken: Fault = None if fault == "hang" else fault  # type: ignore[assignment]
            server.behave("second", fault=broken, delay_ms=HUNG_MS if fault == "hang" else 0)
            theirs, mine = episodes_of("b"), episodes_of("a")
            failures = refused = 0
            for _ in range(40):
                answer = await ask(client, next(theirs), HUNG_DEADLINE_MS)
                assert_tabled(answer)
                failures += answer.status != 200
                own = await ask(client, next(mine))
                if own.status == 503 and PULSE in str(own):
                    refused += 1
                    continue
                assert own.is_right, str(own)
                assert (own.headers[SLOT], own.headers[DEGRADED]) == ("a", "false")
                assert (await client.get("/health")).status == 200
            assert failures <= FAILURES_THAT_OPEN + refused, failures
            promise("requests of the sound policy that were refused", refused, at_most=0, unit="")

            async def is_taken_over() -> bool:
                answer = await ask(client, next(theirs))
                return (answer.is_right, answer.headers[SLOT], answer.headers[DEGRADED]) == (True, "a", "true")

            await eventually(is_taken_over, "the sound policy answers for the broken one")
            server.behave("second")
            await comes_back(client)

    run(scenario())


def test_with_both_broken_everything_is_503_with_retry_after_and_recovery_needs_nobody(server: TwoPolicies) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            await comes_back(client)
            server.behave("first", fault="error")
            server.behave("second", fault="error")
            for _ in range(4 * FAILURES_THAT_OPEN):
                assert_tabled(await client.act())
            refused = await client.act(episode_id="e")
            assert (refused.status, refused.code) == (503, "circuit_open")
            health = await client.get("/health")
            body = orjson.loads(health.body)
            assert (health.status, body["status"]) == (503, "degraded")
            assert {slot["status"] for slot in body["slots"].values()} == {"degraded"}
            assert int(health.headers["retry-after"]) >= 1
            server.behave("first")
            server.behave("second")
            await comes_back(client)

    run(scenario())


def episode_of(number: int) -> str:
    """Of a request: eight robots, and fifty requests in each of their episodes."""
    return f"robot-{number % 8}-{number // 400}"


async def ask_and_rest(client: LoadClient, episode: str) -> Answer:
    answer = await ask(client, episode)
    await let_pass_here(PAUSE_S)
    return answer


def test_requests_through_all_of_it_bring_no_wrong_answer(server: TwoPolicies) -> None:
    faults: list[tuple[Policy, Fault]] = [
        ("second", "nan"), ("second", "exit"), ("first", "wrong_shape"), ("first", "exit"), ("second", "error"),
    ]  # fmt: skip

    async def pass_by(answers: list[Answer], number: int) -> None:
        until = len(answers) + number
        await eventually(lambda: len(answers) >= until, f"{number} more answers")

    async def scenario() -> list[Answer]:
        async with LoadClient(server.port) as client:
            await comes_back(client)
            numbers = itertools.count()
            async with under_load(8, lambda: ask_and_rest(client, episode_of(next(numbers)))) as answers:
                while len(answers) < REQUESTS:
                    for policy, fault in faults:
                        server.behave(policy, fault=fault)
                        await pass_by(answers, BROKEN_FOR)
                        server.behave(policy)
                        await comes_back(client)
                        await pass_by(answers, BROKEN_FOR)
            await comes_back(client)
        return answers

    answers = run(scenario())
    for answer in answers:
        assert_tabled(answer)
    assert sum(answer.status == 200 for answer in answers) > len(answers) / 2, Counter(map(str, answers))


def replace(server: TwoPolicies, admin_port: int, policy: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reflex.cli", "replace", "b", policy, "--admin-port", str(admin_port)]
    return subprocess.run(command, env=server.environment, capture_output=True, text=True, timeout=120, check=False)


def policies_of(answers: list[Answer]) -> set[str]:
    return {answer.headers["x-reflex-model-version"].partition("@")[0] for answer in answers}


def assert_nothing_worse_than_refused(answers: list[Answer]) -> None:
    """A machine that has no time for Triton's pulse refuses for a moment; nothing else may go wrong on it."""
    assert [str(answer) for answer in answers if not answer.is_right and answer.status != 503] == []


def test_a_slot_is_replaced_under_load_without_a_failed_request(
    server: TwoPolicies, admin_port: int, promise: Promise
) -> None:
    """And replaced back: afterwards it serves what it did before."""

    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            await comes_back(client)
            numbers = itertools.count()
            async with under_load(8, lambda: ask_and_rest(client, f"load-{next(numbers)}")) as answers:
                await eventually(lambda: len(answers) > 100, "the load is on")
                assert policies_of(answers) == {"first", "second"}
                for policy in ("third", "second"):
                    found = await asyncio.to_thread(replace, server, admin_port, policy)
                    assert found.returncode == 0, found.stderr
                    so_far = len(answers)
                    await eventually(lambda so_far=so_far: len(answers) > so_far + 100, "the new one has answered")  # type: ignore[misc]
                    assert policies_of(answers[so_far + 8 :]) == {"first", policy}
        assert_nothing_worse_than_refused(answers)
        failed = sum(not answer.is_right for answer in answers)
        promise("requests that failed while a slot was replaced", failed, at_most=0, unit="")

    run(scenario())


def test_a_policy_whose_canary_is_wrong_is_refused_and_the_old_one_never_stops(
    server: TwoPolicies, admin_port: int, promise: Promise
) -> None:
    server.behave("third", fault="nan")

    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            await comes_back(client)
            numbers = itertools.count()
            async with under_load(4, lambda: ask_and_rest(client, f"load-{next(numbers)}")) as answers:
                found = await asyncio.to_thread(replace, server, admin_port, "third")
                assert found.returncode == 1
                assert "the old one goes on" in found.stderr
                so_far = len(answers)
                await eventually(lambda: len(answers) > so_far + 50, "the old one has answered")
        assert_nothing_worse_than_refused(answers)
        stopped = sum(not answer.is_right or answer.headers[DEGRADED] != "false" for answer in answers)
        promise("requests that noticed a policy which was refused", stopped, at_most=0, unit="")

    run(scenario())
