from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from reflex.errors import TransportError
from reflex_analysis.motion.network import Network, Question, Reply
from support.motion.scripted import FakeClock, ScriptedServer, line


def question(number: int) -> Question:
    return Question(number, number, np.zeros(1))


def network(latency_ms: float, jitter_ms: float, seed: int = 0, took_s: float = 0.001) -> tuple[Network, FakeClock]:
    clock = FakeClock()
    server = ScriptedServer(clock, lambda _: line(0.0, 0.0), took_s=took_s)
    return Network(server, latency_ms=latency_ms, jitter_ms=jitter_ms, seed=seed), clock


def arrival_s(network: Network, clock: FakeClock) -> float:
    """Seconds until the next answer, to a tenth of a millisecond."""
    asked_s = clock.now()
    while network.arrived(clock.now()) is None:
        clock.now_s += 1e-4
    return clock.now() - asked_s


def test_an_answer_takes_the_servers_time_and_the_latency() -> None:
    slow, clock = network(100.0, 0.0, took_s=0.03)
    slow.send(question(0))

    assert slow.arrived(clock.now()) is None
    assert slow.is_asked
    assert arrival_s(slow, clock) == pytest.approx(0.13, abs=2e-4)
    assert not slow.is_asked


def test_jitter_is_even_to_both_sides_and_the_same_for_the_same_seed() -> None:
    def delays(seed: int) -> list[float]:
        jittery, clock = network(50.0, 20.0, seed)
        found = []
        for number in range(40):
            jittery.send(question(number))
            found.append(arrival_s(jittery, clock))
        return found

    found = delays(3)

    assert 0.031 <= min(found) < 0.040
    assert 0.062 < max(found) <= 0.0712
    assert delays(3) == found
    assert delays(4) != found


def test_no_latency_with_jitter_brings_nothing_before_it_was_said() -> None:
    jittery, clock = network(0.0, 20.0, took_s=0.005)
    for number in range(20):
        jittery.send(question(number))

        assert arrival_s(jittery, clock) >= 0.005


def test_answers_arrive_in_the_order_of_their_questions() -> None:
    jittery, clock = network(50.0, 50.0)
    arrived = []
    for number in range(30):
        jittery.send(question(number))
    while jittery.is_asked:
        clock.now_s += 1e-4
        while (answer := jittery.arrived(clock.now())) is not None:
            arrived.append(answer.question.number)

    assert arrived == list(range(30))


def test_a_server_that_is_gone_is_told_to_whoever_waits() -> None:
    @dataclass
    class Gone:
        asked: list[Question] = field(default_factory=list)

        def ask(self, _question: Question) -> Gone:
            return self

        def reply(self) -> Reply:
            raise TransportError("cannot reach it")

    gone = Network(Gone(), latency_ms=0.0, jitter_ms=0.0, seed=0)
    gone.send(question(0))

    with pytest.raises(TransportError, match="cannot reach it"):
        gone.arrived(0.0)
