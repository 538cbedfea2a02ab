"""Robots whose requests interleave never affect each other: every input is what a model of one robot alone expects."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reflex.errors import InferenceError
from reflex_frontend.errors import TritonCallError
from unit.reflex_frontend.motion.rtc_scene import CONTROL_HZ, TAKES_S, Scene, play, session

HORIZON, MEASURED = 20, math.ceil(TAKES_S * CONTROL_HZ)
MOST_FAILURES = 3
"""In a row: more would open the circuit breaker."""
ROBOTS = tuple(itertools.product("ef", ("s", "t", None)))
"""Episode and session: each shares its episode's name, or its session, with another one."""
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Event:
    """One request: whose, so many control periods after the one before it, and what it says."""

    robot: int
    pause: float
    executed: int | None
    delay: int | None
    kind: str


events = st.builds(
    Event,
    robot=st.integers(0, len(ROBOTS) - 1),
    pause=st.integers(0, 48).map(lambda quarters: quarters / 4),
    executed=st.none() | st.integers(0, HORIZON),
    delay=st.none() | st.integers(0, HORIZON),
    kind=st.sampled_from(["new", "new", "new", "resent", "failing"]),
)


@dataclass
class Robot:
    """What one robot alone expects: written without a line of the server's own."""

    plan: list[list[float]] | None = None
    since: float = 0.0
    body: dict[str, Any] | None = None
    answer: dict[str, Any] | None = None

    def expected(
        self, event: Event, at: float, is_first_of_all: bool
    ) -> tuple[str | None, list[list[float]], list[float]]:
        """The reason or None, the rest of the plan, the weights."""
        nothing: tuple[list[list[float]], list[float]] = ([], [0.0] * HORIZON)
        if self.plan is None:
            return "first_chunk", *nothing
        executed = event.executed if event.executed is not None else int((at - self.since) * CONTROL_HZ + 0.5)
        if at - self.since > 30:
            return "expired", *nothing
        if executed >= HORIZON:
            return "used_up", *nothing
        delay = event.delay if event.delay is not None else (0 if is_first_of_all else MEASURED)
        rest = self.plan[executed:]
        end = len(rest)
        weights = [0.0] * HORIZON
        for step in range(end):
            weights[step] = 1.0 if step < delay else (end - step) / (end - min(delay, end) + 1)
        return None, rest, weights


async def check(scene: Scene, happened: list[Event]) -> None:
    robots = [Robot() for _ in ROBOTS]
    numbers = itertools.count()
    failed = 0
    for event in happened:
        await asyncio.sleep(event.pause / CONTROL_HZ)
        robot, (episode, owner) = robots[event.robot], ROBOTS[event.robot]
        claims = None if owner is None else session(owner)
        if event.kind == "resent":
            calls = len(scene.triton.calls)
            if robot.body is not None and scene.now() - robot.since < 20:
                assert await scene.act(claims, **robot.body) == robot.answer
            assert len(scene.triton.calls) == calls
            continue
        body: dict[str, Any] = {"episode_id": episode, "request_id": f"r{next(numbers)}"}
        body |= {} if event.executed is None else {"executed_steps": event.executed}
        body |= {} if event.delay is None else {"inference_delay_steps": event.delay}
        reason, rest, weights = robot.expected(event, scene.now(), is_first_of_all=not scene.plans)
        at = scene.now()
        if event.kind == "failing" and failed < MOST_FAILURES:
            failed += 1
            scene.triton.script.append(TritonCallError("model", "no"))
            with pytest.raises(InferenceError):
                await scene.act(claims, **body)
        else:
            failed = 0
            robot.answer = await scene.act(claims, **body)
            assert (robot.answer["rtc_applied"], robot.answer.get("rtc_reason")) == (reason is None, reason)
            robot.plan, robot.since, robot.body = scene.plans[-1].tolist(), at, body
        previous, given_weights, bound = scene.given
        expected = np.zeros_like(previous)
        if rest:
            expected[: len(rest), : len(rest[0])] = rest
        np.testing.assert_array_equal(previous, expected)
        np.testing.assert_allclose(given_weights, np.array(weights, np.float32), atol=1e-7)
        assert bound == (0 if reason else 10)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, min_size=4, max_size=20))
def test_each_robot_gets_what_it_would_get_alone(happened: list[Event]) -> None:
    play(lambda scene: check(scene, happened))


def test_robots_that_ask_at_once_are_kept_apart_too() -> None:
    async def scenario(scene: Scene) -> None:
        def ask(robot: int, **fields: Any) -> Any:
            episode, owner = ROBOTS[robot]
            return scene.act(None if owner is None else session(owner), episode_id=episode, **fields)

        own: list[dict[str, Array]] = []
        for round_number in range(4):
            scene.triton.calls.clear()
            answers = await asyncio.gather(
                *(ask(robot, state=[robot / 10] * 6, executed_steps=round_number) for robot in range(2))
            )
            assert [answer["rtc_applied"] for answer in answers] == [round_number > 0] * 2
            found = {
                robot_of(call): np.frombuffer(tensor_of(call, "prev_chunk"), np.float32) for call in scene.triton.calls
            }
            for robot, previous in found.items():
                if round_number:
                    rest = own[-1][robot][round_number:]
                    np.testing.assert_array_equal(previous.reshape(HORIZON, -1)[: len(rest), :7], rest)
            own.append({robot_of(call): plan for call, plan in zip(scene.triton.calls, scene.plans[-2:], strict=True)})

    play(scenario)


def tensor_of(call: Any, name: str) -> bytes:
    return next(bytes(tensor.data) for tensor in call if tensor.name == name)


def robot_of(call: Any) -> str:
    return str(np.frombuffer(tensor_of(call, "state"), np.float32)[0])
