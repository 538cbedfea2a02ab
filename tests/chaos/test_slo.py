"""`--slo` on real servers whose model becomes slow and well again: each mode does what it says, and ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from tritonclient.grpc.aio import InferenceServerClient

from reflex_bench.nonce_policy import set_behaviour
from support.bodies import valid_body
from support.hostile import exchange, post_request
from support.load import Answer, LoadClient, open_loop, percentile, run
from support.nonce_server import nonce_server
from support.promise import Promise
from support.server import ServerProcess, running_server
from support.waiting import eventually, let_pass_here, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WINDOW_S = 6
ENVIRONMENT = {"REFLEX_SLO_WINDOW_S": str(WINDOW_S)}
SLO = ("--slo", "p90=200ms")
"""A busy machine keeps it too while the model is quick."""
SLOW_MS = 320.0
PACE_HZ = 12.0
"""To each of two servers: 72 answers in the window, and within what the slow model can do."""
MEASURED_S = 3.0
REFUSED_WITHIN_S = 0.010
MIN_SAMPLES = 50
"""Fewer answers in the window are no violation."""


@dataclass
class Course:
    """What both servers answered: with a quick model, while the limit was missed, and afterwards."""

    logging: ServerProcess
    refusing: ServerProcess
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    """Of `refusing`, by phase."""
    logged: dict[str, list[Answer]] = field(default_factory=dict)
    model_runs: int = 0
    """While the limit was missed, for both."""
    metrics: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """Two frontends before one Triton, taken through all of it once."""
    folder = tmp_path_factory.mktemp("slo")
    with nonce_server(folder, *SLO, "--slo-mode", "refuse", env=ENVIRONMENT) as server:
        set_behaviour(folder / "behaviour.json")
        address = server.process.triton_address()
        options = ("--model-repository", str(folder / "models"), "--no-guard", "--triton", address, *SLO)
        with running_server(*options, env=ENVIRONMENT) as logging:
            course = Course(logging, server.process)
            run(through_all(course, address, folder / "behaviour.json"))
            yield course


@contextlib.asynccontextmanager
async def asked(client: LoadClient) -> AsyncIterator[None]:
    """At `PACE_HZ`, while the block runs."""
    is_over = asyncio.Event()

    async def ask_on() -> None:
        async with asyncio.TaskGroup() as calls:
            while not is_over.is_set():
                calls.create_task(client.act())
                await let_pass_here(1 / PACE_HZ)

    async with asyncio.TaskGroup() as asking:
        asking.create_task(ask_on())
        try:
            yield
        finally:
            is_over.set()


async def through_all(course: Course, triton: str, behaviour: Path) -> None:
    async with LoadClient(course.refusing.port) as refusing, LoadClient(course.logging.port) as logging:

        async def measured(phase: str) -> None:
            course.answers[phase], course.logged[phase] = await asyncio.gather(
                *(open_loop(PACE_HZ, MEASURED_S, client.act) for client in (refusing, logging))
            )
            for name, client in (("503", refusing), ("log", logging)):
                course.metrics[f"{phase} {name}"] = (await client.get("/metrics")).body.decode()

        async def asked_until(*, is_violated: bool) -> None:
            wanted = f'reflex_slo_violated{{policy_slot="a"}} {float(is_violated)}'.encode()

            async def is_seen() -> bool:
                return all([wanted in (await client.get("/metrics")).body for client in (refusing, logging)])

            async with asked(refusing), asked(logging):
                await eventually(is_seen, f"is_violated={is_violated}")

        await measured("quick")
        set_behaviour(behaviour, delay_ms=SLOW_MS)
        await asked_until(is_violated=True)
        before = await inferences(triton)
        await measured("missed")
        course.model_runs = await inferences(triton) - before
        set_behaviour(behaviour)
        await asked_until(is_violated=False)
        await measured("again")


async def inferences(triton: str) -> int:
    """How many requests the model has answered, by Triton's own count."""
    async with InferenceServerClient(triton) as client:
        (model,) = (await client.get_inference_statistics("nonce", as_json=True))["model_stats"]
    return int(model["inference_stats"]["success"]["count"])


def test_before_and_afterwards_everything_is_answered(course: Course) -> None:
    for phase in ("quick", "again"):
        for answer in (*course.answers[phase], *course.logged[phase]):
            assert answer.is_right, str(answer)


def test_log_says_so_counts_it_and_answers_all_the_same(course: Course) -> None:
    for answer in course.logged["missed"]:
        assert answer.is_right, str(answer)
    metrics = course.metrics["missed log"]
    assert re.search(r'^reflex_slo_violations_total{embodiment="franka",kind="p90"} 1\.0$', metrics, re.MULTILINE)
    assert 'reflex_slo_violated{policy_slot="a"} 1.0' in metrics
    log = course.logging.log
    assert (log.count("SLO missed"), log.count("SLO kept again")) == (1, 1)


def test_503_refuses_most_and_lets_a_few_through_to_find_out(course: Course) -> None:
    answers = course.answers["missed"]
    refused = [answer for answer in answers if answer.status == 503]
    passed = [answer for answer in answers if answer.status == 200]
    assert len(refused) + len(passed) == len(answers)
    assert MEASURED_S - 1 <= len(passed) < len(answers) / 4
    for answer in refused:
        body = orjson.loads(answer.body)
        assert answer.code == "slo_violation"
        assert 0 < body["retry_after_s"] <= WINDOW_S + 3
        assert int(answer.headers["retry-after"]) >= body["retry_after_s"]
    assert 'reflex_slo_violated{policy_slot="a"} 1.0' in course.metrics["missed 503"]


def test_a_refusal_takes_under_10_ms(course: Course, promise: Promise) -> None:
    refused = [answer.server_s for answer in course.answers["missed"] if answer.status == 503]
    promise("90 % of the refusals for a missed SLO come at once", percentile(refused, 0.9), at_most=REFUSED_WITHIN_S)


def test_the_model_does_not_run_for_a_refused_request(course: Course) -> None:
    answered = [*course.answers["missed"], *course.logged["missed"]]
    assert course.model_runs == sum(answer.status == 200 for answer in answered)


def test_degrade_answers_with_fewer_denoising_steps_and_says_so(tmp_path: Path) -> None:
    """A limit that the demo policy cannot keep, on a real export with two numbers of steps."""
    checkpoint, named = str(ROOT / "export" / "demo_checkpoint"), ("--name", "demo", "--embodiment", "franka")
    steps = ("--steps", "10", "--steps", "2", "--untrained", "--no-check")
    export = [sys.executable, "-m", "reflex.cli", "export", checkpoint, "--repository", str(tmp_path), *named, *steps]
    subprocess.run(export, check=True, capture_output=True)
    limit = ("--slo", "p50=1ms", "--slo-mode", "degrade")
    with running_server("--model-repository", str(tmp_path), "--policy", "demo", *limit, env=ENVIRONMENT) as server:
        seen: list[int] = []

        def is_degraded() -> bool:
            (answer,) = exchange(server.port, post_request(orjson.dumps(valid_body(seed=1))))
            assert answer.status == 200, answer.body
            seen.append(answer.json()["denoising_steps"])
            return seen[-1] == 2

        wait_until(is_degraded, "fewer steps are taken")
    assert seen[-1] == 2
    assert set(seen[:-1]) == {10}
    assert len(seen) > MIN_SAMPLES
