"""Each fault of `support.kills.faults` strikes a whole run once: in the simulator, and on servos behind a pty.

Without REFLEX_EVERY_FAULT only those do that no other test of whole runs plays. `make runner-kills` strikes 200 and 50
runs, at random instants.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import pytest

from support.kills.campaign import TRIES, planned
from support.kills.faults import FAULTS, Fault
from support.kills.in_simulator import NotStruckError, struck_in_simulator
from support.kills.judging import Outcome
from support.kills.on_servos import struck_on_servos
from support.kills.stack import RealArmServer, SessionStack
from support.promise import Promise

pytestmark = pytest.mark.slow

BenchT = TypeVar("BenchT")
SIMULATED: Final = [fault for fault in FAULTS if "simulator" in fault.benches]
ON_SERVOS: Final = [fault for fault in FAULTS if "servos" in fault.benches]

ONLY_HERE: Final = ("control plane killed", "disk full", "day's clock set", "cable pulled")


def chosen(faults: list[Fault]) -> list[Fault]:
    return faults if os.environ.get("REFLEX_EVERY_FAULT") else [fault for fault in faults if fault.name in ONLY_HERE]


def name_of(fault: Fault) -> str:
    return fault.name


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionStack]:
    made = SessionStack(tmp_path_factory.mktemp("stack"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def real_arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealArmServer]:
    made = RealArmServer(tmp_path_factory.mktemp("servers"))
    yield made
    made.close()


def struck(strike: Callable[[Fault, str, int, BenchT], Outcome], fault: Fault, bench: BenchT) -> Outcome:
    """A run that ends before it is struck, as on a busy machine, says nothing: another one is begun."""
    for attempt in range(TRIES):
        try:
            return strike(fault, f"once/{attempt}", 0, bench)
        except NotStruckError as exc:
            trouble = exc
    raise trouble


def keeps_its_promise(outcome: Outcome, promise: Promise) -> None:
    assert not outcome.problems, outcome
    promise(f"{outcome.fault} ({outcome.bench})", outcome.took_s, at_most=outcome.within_s)


@pytest.mark.parametrize("fault", chosen(SIMULATED), ids=name_of)
def test_the_simulated_arm_is_in_its_declared_state_in_time(
    stack: SessionStack, promise: Promise, fault: Fault
) -> None:
    keeps_its_promise(struck(struck_in_simulator, fault, stack), promise)


@pytest.mark.parametrize("fault", chosen(ON_SERVOS), ids=name_of)
def test_an_arm_on_servos_is_in_its_declared_state_in_time(
    real_arm: RealArmServer, promise: Promise, fault: Fault
) -> None:
    keeps_its_promise(struck(struck_on_servos, fault, real_arm), promise)


def test_the_runs_are_spread_over_all_faults_and_the_seed_gives_them_again() -> None:
    jobs = planned(200, 50, seed=7)
    assert jobs == planned(200, 50, seed=7) != planned(200, 50, seed=8)
    for faults, bench, number in ((SIMULATED, "simulator", 200), (ON_SERVOS, "servos", 50)):
        counts = [sum(job[:2] == (fault.name, bench) for job in jobs) for fault in faults]
        assert sum(counts) == number
        assert max(counts) - min(counts) <= 1
    assert len({job[3] for job in jobs}) == len(jobs)
