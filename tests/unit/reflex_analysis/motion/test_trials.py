"""Trials over real HTTP, in real time: what is sent, and what comes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reflex.client import ReflexClient
from reflex.client.connection import Connection
from reflex.errors import ServiceError, TransportError
from reflex_analysis.motion.trials import WARMING, Bench, Served, Trial, look_at, run_trials
from support.motion.server import MotionServer, motion_server


@contextmanager
def looked_at(server: MotionServer) -> Iterator[tuple[Served, Connection]]:
    with ReflexClient(server.url, deadline_s=30.0) as client:
        connection = Connection(server.url)
        try:
            yield look_at(client, connection), connection
        finally:
            connection.close()


def tried(server: MotionServer, *strategies: str, **options: object) -> list[Trial]:
    bench = Bench(strategies, [0.0], jitter_ms=0.0, seconds=0.3, control_hz=100.0, replan_steps=5, **options)  # type: ignore[arg-type]
    with looked_at(server) as (served, connection):
        return list(run_trials(bench, served, connection))


def test_a_server_is_looked_at_before_the_trials() -> None:
    with motion_server(n_action_steps=12, injected_latency_ms=80.0) as server, looked_at(server) as (served, _):
        pass

    assert len(server.bodies) == WARMING
    assert (served.shape.policy_id, served.embodiment.name, served.execute_steps) == ("demo", "franka", 12)
    assert (served.has_rtc, served.has_head, served.injected_latency_ms) == (False, False, 80.0)
    with motion_server(rtc_applied=False) as server, looked_at(server) as (served, _):
        assert (served.has_rtc, served.has_head) == (True, False)
    with motion_server(a2c2_applied=False) as server, looked_at(server) as (served, _):
        assert (served.has_rtc, served.has_head) == (False, True)


def test_what_is_asked_is_a_whole_request_of_one_episode_with_a_picture() -> None:
    with motion_server() as server:
        trials = tried(server, "open-loop")
    bodies = server.bodies[WARMING:]

    assert len(trials) == 1
    assert len({body["episode_id"] for body in bodies}) == 1
    assert len({body["request_id"] for body in bodies}) == len(bodies) >= 2
    assert [body["seed"] for body in bodies] == list(range(len(bodies)))
    assert all(len(body["state"]) == 6 and body["images"]["image"] for body in bodies)
    assert not any("executed_steps" in body for body in bodies)
    assert all(body["prev_actions"] == [] for body in bodies)  # nothing that a server with --rtc is to continue


def test_rtc_tells_how_far_it_is_and_counts_what_was_guided() -> None:
    with motion_server(rtc_applied=True) as server:
        (trial,) = tried(server, "rtc")
    first, *later = server.bodies[WARMING:]

    assert "executed_steps" not in first
    assert not any("prev_actions" in body for body in (first, *later))
    assert later
    assert all(5 <= body["executed_steps"] <= 50 and 1 <= body["inference_delay_steps"] <= 50 for body in later)
    assert trial.figures.guided >= len(later) - 1  # the last one may still be under way


@pytest.mark.slow
def test_the_head_is_asked_for_one_strategy_alone_and_told_how_far_the_robot_is() -> None:
    bench = Bench(["rtc", "rtc+a2c2"], [0.0], jitter_ms=0.0, seconds=0.3, control_hz=100.0, replan_steps=5)
    with motion_server(rtc_applied=True) as plain, motion_server(rtc_applied=True, a2c2_applied=True) as corrects:
        with looked_at(plain) as (served, connection), looked_at(corrects) as (_, correcting):
            rtc, corrected = run_trials(bench, served, connection, correcting)
        asked = [(len({body["episode_id"] for body in server.bodies[WARMING:]})) for server in (plain, corrects)]
        _, *later = corrects.bodies[WARMING:]

    assert asked == [1, 1]
    assert (rtc.figures.corrected, corrected.figures.corrected) == (0, corrected.figures.guided)
    assert corrected.figures.corrected >= len(later) - 1 > 0
    assert all(5 <= body["executed_steps"] <= 50 and 1 <= body["inference_delay_steps"] <= 50 for body in later)


@pytest.mark.slow
def test_each_strategy_and_repetition_is_a_trial_with_noise_and_an_episode_of_its_own() -> None:
    with motion_server() as server:
        trials = tried(server, "sync", "open-loop", repeat=2)
    episodes = {body["episode_id"]: body["seed"] for body in server.bodies[WARMING:] if body["seed"] % 100_000 == 0}

    assert [(trial.strategy, trial.repeat) for trial in trials] == [
        ("sync", 0),
        ("open-loop", 0),
        ("sync", 1),
        ("open-loop", 1),
    ]
    assert list(episodes.values()) == [0, 0, 100_000, 100_000]


def test_refusals_are_part_of_a_trial_but_not_of_the_look_before() -> None:
    with motion_server() as server:
        server.refuse_after = WARMING + 1
        (trial,) = tried(server, "open-loop")
        assert trial.course.refusals["implausible_action"] == trial.figures.refused > 0
        server.refuse_after = 0
        with pytest.raises(ServiceError):
            tried(server, "open-loop")


def test_a_server_that_goes_away_ends_the_trials() -> None:
    with motion_server() as server, looked_at(server) as (served, connection):
        server.shutdown()
        server.socket.close()
        connection.close()
        bench = Bench(["sync"], [0.0], jitter_ms=0.0, seconds=0.3)
        gone = Connection(server.url)
        with pytest.raises(TransportError):
            list(run_trials(bench, served, gone))
        gone.close()
