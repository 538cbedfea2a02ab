"""The policy is asked once for each observation that may be sent; what passes is waited for, anything else stops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reflex.connector import Observation
from reflex.errors import ClientTimeoutError, SetupError, TransportError, service_error
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.loop.inference import MOST_WAITING, Inference, is_passing
from reflex_runner.loop.senses import Senses
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import Tally
from reflex_runner.loop.telling import Telling
from reflex_runner.tick import DatedChunk
from support.runner.arms import arm, pose
from support.runner.session import Policy
from support.runner.world import Told
from support.waiting import let_pass, wait_until


class Scene:
    def __init__(
        self,
        policy: Policy,
        *,
        period_s: float = 60.0,
        state_age_s: float = 0.0,
        pipelined: bool = True,
    ) -> None:
        self.policy, self.stops, self.tally, self.told = policy, StopRequests(), Tally(), Told()
        self.moves = False
        self.moments: list[float] = []
        self.continued: list[int] = []
        read = lambda: Observation(pose(1, 2), captured_s=SYSTEM_CLOCK.now() - state_age_s)  # noqa: E731
        self.senses = Senses(read, {}, arm(), 0.002, self.stops, SYSTEM_CLOCK)
        self.inference = Inference(
            policy, self.senses, pipelined=pipelined, is_moving=lambda: self.moves, executed_steps=self.executed,
            period_s=period_s, max_image_age_s={}, stops=self.stops, tally=self.tally,
            telling=Telling([self.told], SYSTEM_CLOCK), clock=SYSTEM_CLOCK,
        )  # fmt: skip

    def executed(self, last: DatedChunk, moment: float) -> int:
        self.moments.append(moment)
        self.continued.append(last.seq)
        return 7


@contextmanager
def asking(policy: Policy, **how: Any) -> Iterator[Scene]:
    scene = Scene(policy, **how)
    scene.senses.start()
    scene.inference.start()
    yield scene
    scene.inference.ask_no_more()
    policy.close()
    assert scene.inference.end(30)
    assert scene.senses.end(30)


def test_every_observation_is_asked_once_and_numbered_and_its_answer_is_told() -> None:
    with asking(Policy()) as scene:
        wait_until(lambda: len(scene.told.chunks) >= 5, "five answers")
    observations = [observation.captured_s for observation, _ in scene.policy.asked]
    assert len(set(observations)) == len(observations)
    assert scene.told.observations[:5] == [0, 1, 2, 3, 4]
    assert [chunk.seq for chunk in scene.told.chunks[:5]] == [0, 1, 2, 3, 4]
    assert [executed for _, executed in scene.policy.asked] == [None, *[7] * (len(observations) - 1)]
    assert scene.moments == observations[1:], "what is executed is told for the moment of the observation"
    assert scene.continued == list(range(len(observations) - 1)), "and of the last answer, whoever has taken it"
    assert scene.tally.result().latency_ms["p50"] >= 0
    assert scene.inference.trouble is None


def test_not_pipelined_nothing_is_asked_while_the_robot_moves_or_a_chunk_waits_to_be_taken() -> None:
    with asking(Policy(), period_s=0.5, pipelined=False) as scene:
        wait_until(lambda: scene.inference.chunks, "the first answer")
        let_pass(0.1)
        assert len(scene.policy.asked) == 1, "one waits to be taken"
        scene.moves = True
        scene.inference.chunks.clear()
        let_pass(0.1)
        assert len(scene.policy.asked) == 1, "it is being followed"
        scene.moves = False
        wait_until(lambda: len(scene.policy.asked) > 1, "it asks again")


def test_an_observation_that_is_too_old_is_counted_and_not_sent() -> None:
    with asking(Policy(), period_s=0.01, state_age_s=5.0) as scene:
        wait_until(lambda: scene.tally.stale_observations >= 3, "some are too old")
    assert scene.policy.asked == []
    assert scene.inference.trouble is not None
    assert scene.inference.trouble.code == "stale_observation"
    assert [event.code for event in scene.told.events] == ["stale_observation"], "told once, not every time"


PASSING = [
    service_error("queue_full", "full"), service_error("warming_up", "starts"), service_error("rate_limited", "slower"),
    service_error("deadline_exceeded", "late"), service_error("inference_failed", "once"),
    service_error("request_timeout", "late"), TransportError("refused"), ClientTimeoutError("silent"),
]  # fmt: skip
FATAL = [
    service_error("unauthorized", "no key"), service_error("forbidden", "no"), service_error("not_found", "where"),
    service_error("conflict", "other"), service_error("state_dim_mismatch", "7"), service_error("invalid_json", "{"),
    SetupError("wrong"), ValueError("a fault"), SystemExit(1), service_error("http_501", "what?", status=501),
]  # fmt: skip


@pytest.mark.parametrize("error", [*PASSING, *FATAL], ids=lambda error: getattr(error, "code", type(error).__name__))
def test_what_may_pass_is_told_from_what_will_not(error: BaseException) -> None:
    assert is_passing(error) == (error in PASSING)


def test_a_server_that_does_not_answer_for_a_while_is_asked_again_and_the_trouble_is_over() -> None:
    policy = Policy()

    def fault(seq: int) -> None:
        if seq < 3:
            raise service_error("warming_up", "the policy is loading")

    policy.fault = fault
    with asking(policy) as scene:
        wait_until(lambda: scene.inference.trouble, "trouble")
        assert scene.inference.trouble is not None
        assert scene.inference.trouble.message == "asking the policy failed: warming_up: the policy is loading"
        wait_until(lambda: scene.inference.chunks, "an answer")
        wait_until(lambda: scene.inference.trouble is None, "the trouble is over")
        assert scene.stops.cause is None
    assert [event.code for event in scene.told.events] == ["warming_up"]


def test_the_first_trouble_is_kept_and_each_kind_is_told_once() -> None:
    policy = Policy()
    refusals = [ClientTimeoutError("no answer in 1 s"), *[service_error("circuit_open", "it failed five times")] * 3]

    def fault(seq: int) -> None:
        raise refusals[min(seq, 3)]

    policy.fault = fault
    with asking(policy) as scene:
        wait_until(lambda: len(policy.asked) > 3, "the server has refused four times")
        trouble, told = scene.inference.trouble, [event.code for event in scene.told.events]
    assert trouble is not None
    assert trouble.message.endswith("no answer in 1 s")
    assert told == [ClientTimeoutError.code, "circuit_open"]


def test_what_will_not_pass_stops_the_run_at_once() -> None:
    policy = Policy()

    def fault(seq: int) -> None:
        raise service_error("unauthorized", f"the key is not known ({seq})")

    policy.fault = fault
    with asking(policy) as scene:
        wait_until(lambda: scene.stops.cause, "the run is stopped")
        assert scene.stops.cause is not None
        assert scene.stops.cause.code == "unauthorized"
        assert scene.stops.cause.message == "asking the policy failed: unauthorized: the key is not known (0)"
    assert len(policy.asked) == 1


def test_what_fails_because_the_run_is_over_is_no_error() -> None:
    policy = Policy(takes_s=60.0)

    def fault(seq: int) -> None:
        policy.closed.wait(60)
        raise OSError(f"closed ({seq})")

    policy.fault = fault
    with asking(policy) as scene:
        wait_until(lambda: policy.asked, "it is asked")
    assert scene.stops.cause is None
    assert scene.told.events == []


def test_what_belongs_to_a_motion_that_is_over_is_continued_by_nothing() -> None:
    with asking(Policy(), pipelined=False) as scene:
        wait_until(lambda: scene.inference.chunks, "the first answer")
        scene.inference.forget()
        wait_until(lambda: scene.inference.chunks, "the next one")
    assert [executed for _, executed in scene.policy.asked[:2]] == [None, None]


def test_chunks_that_nobody_takes_are_few() -> None:
    assert Scene(Policy()).inference.chunks.maxlen == MOST_WAITING


def test_a_server_that_says_when_to_come_again_is_left_alone_until_then() -> None:
    policy = Policy()

    def fault(seq: int) -> None:
        raise service_error("queue_full", f"full ({seq})", retry_after_s=60)

    policy.fault = fault
    with asking(policy) as scene:
        wait_until(lambda: scene.inference.trouble, "it is refused")
        let_pass(0.4)
    assert len(policy.asked) == 1
