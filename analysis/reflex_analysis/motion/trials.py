"""All trials of one bench: each strategy at each latency, one after another, against one server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reflex.client import ReflexClient
from reflex.client.check import ServedShape, shapes_of
from reflex.client.connection import Connection
from reflex.client.embodiment import embodiment_of
from reflex.embodiments import Embodiment
from reflex_analysis.motion.asking import HttpServer
from reflex_analysis.motion.loop import Course, Pace, RealClock, drive
from reflex_analysis.motion.measures import Figures, measure
from reflex_analysis.motion.network import Network, Question
from reflex_analysis.motion.plants import PLANTS, POINT_MASS
from reflex_analysis.motion.scene import Scene
from reflex_analysis.motion.strategies import STRATEGIES

__all__ = ["Bench", "Served", "Trial", "look_at", "run_trials"]

WARMING: Final = 5
"""Questions before the first trial: what is slow once, like a first inference, is no part of it."""
SEEDS_OF_A_TRIAL: Final = 100_000


@dataclass(frozen=True, slots=True)
class Bench:
    """What is to be tried."""

    strategies: Sequence[str]
    latencies_ms: Sequence[float]
    jitter_ms: float
    seconds: float
    repeat: int = 1
    seed: int = 0
    control_hz: float | None = None
    """None: the embodiment's."""
    replan_steps: int | None = None
    """None: half the horizon."""
    plant: str = POINT_MASS


@dataclass(frozen=True, slots=True)
class Served:
    """Who answers: the policy, its robot, and what is special about its server."""

    shape: ServedShape
    embodiment: Embodiment
    model_version: str
    execute_steps: int
    has_rtc: bool
    has_head: bool
    """Whether it corrects what latency made stale."""
    injected_latency_ms: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy at one latency."""

    strategy: str
    latency_ms: float
    repeat: int
    figures: Figures
    course: Course


def look_at(client: ReflexClient, connection: Connection) -> Served:
    """Ask for the configuration and a few chunks; raises what the server says if it does not answer them."""
    config = client.config()
    shape, embodiment = next(iter(shapes_of(config).values())), embodiment_of(config)
    scene = Scene(shape, embodiment)
    with _server(connection, scene, shape, 0) as server:
        answers = [server.answer(Question(number, 0, scene.rest)) for number in range(WARMING)]
    last = answers[-1]
    injected_ms = last.get("injected_latency_ms")
    return Served(
        shape,
        embodiment,
        model_version=last.get("model_version", shape.policy_id),
        execute_steps=last.get("n_action_steps", shape.horizon),
        has_rtc="rtc_applied" in last,
        has_head="a2c2_applied" in last,
        injected_latency_ms=injected_ms if isinstance(injected_ms, float) else 0.0,
    )


def pace_of(bench: Bench, served: Served) -> Pace:
    """In control periods, by what the policy and its robot say where nobody else does."""
    control_hz = bench.control_hz or served.embodiment.control_hz
    replan_steps = bench.replan_steps or max(1, served.shape.horizon // 2)
    return Pace(control_hz, served.execute_steps, replan_steps, ticks=max(1, round(bench.seconds * control_hz)))


def run_trials(
    bench: Bench, served: Served, connection: Connection, correcting: Connection | None = None
) -> Iterator[Trial]:
    """Each trial when it is over. The latencies of a strategy follow each other; raises `TransportError`.

    `correcting` leads to the server whose head corrects; strategies that want one are asked there.
    """
    for repeat in range(bench.repeat):
        for name in bench.strategies:
            asked = correcting if STRATEGIES[name].corrects and correcting is not None else connection
            for latency_ms in bench.latencies_ms:
                yield _trial(bench, served, asked, name, latency_ms, repeat)


def _trial(bench: Bench, served: Served, connection: Connection, name: str, latency_ms: float, repeat: int) -> Trial:
    scene, pace, clock = Scene(served.shape, served.embodiment), pace_of(bench, served), RealClock()
    seed = (bench.seed + repeat) * SEEDS_OF_A_TRIAL
    with _server(connection, scene, served.shape, seed) as server:
        network = Network(server, latency_ms=latency_ms, jitter_ms=bench.jitter_ms, seed=seed)
        course = drive(STRATEGIES[name], PLANTS[bench.plant](scene), network, clock, pace)
    return Trial(name, latency_ms, repeat, measure(course, scene.ranges, pace.control_hz), course)


def _server(connection: Connection, scene: Scene, shape: ServedShape, seed: int) -> HttpServer:
    now = RealClock().now
    return HttpServer(connection, scene, seed=seed, takes_instruction=shape.takes_instruction, now=now)
