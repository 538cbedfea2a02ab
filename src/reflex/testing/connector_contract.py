"""Holds a connector to its contract: what a run relies on, tried on the class itself.

    from reflex.testing.connector_contract import ConnectorContract

    class TestMyArm(ConnectorContract):
        state_dim = 6

        def make_connector(self):
            return MyArm(port="/dev/ttyUSB0")

pytest runs a test for each rule; `check_connector(make, state_dim=6)` runs them all without pytest. What a rule finds
wrong is an `AssertionError` that says what to do. On a real arm these tests move nothing: the only commands that they
send are the pose that was just measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from reflex.connector import ActionChunk, Connector
from reflex.errors import SetupError
from reflex.testing.observed import check_observation, check_order, state_of
from reflex.testing.subject import Subject, fail, in_time, run_beside

__all__ = ["RULES", "ConnectorContract", "Subject", "check_connector"]

METHODS: Final = {
    "start": (),
    "get_observation": (),
    "apply_action": ("chunk",),
    "safe_stop": ("reason",),
    "stop": (),
}
LONG_STEP_S: Final = 5.0
"""Of the one action that is applied: whoever waits until it is over is found out on the busiest machine."""
LOOKS: Final = 5
BESIDE: Final = 20
BETWEEN_STOPS_S: Final = 0.001


def has_the_five_methods(subject: Subject) -> None:
    """`start`, `get_observation`, `apply_action`, `safe_stop` and `stop` are there."""
    connector = subject.make()
    missing = [name for name in METHODS if not callable(getattr(connector, name, None))]
    if missing:
        fail(f"it has no {', '.join(missing)}")


def observes_what_a_policy_takes(subject: Subject) -> None:
    """An `Observation`: a finite float32 state of its length, pictures that can be sent, and dates."""
    with started(subject) as connector:
        for _ in range(LOOKS):
            asked_s = time.monotonic()
            observation = connector.get_observation()
            check_observation(observation, subject.state_dim, asked_s, time.monotonic())


def goes_forward_in_time(subject: Subject) -> None:
    """Dates never go back, cameras keep their names and sizes, and what was handed over stays as it was."""
    with started(subject) as connector:
        check_order([connector.get_observation() for _ in range(LOOKS)], connector)


def moves_nothing_before_it_is_told(subject: Subject) -> None:
    """Between `start` and the first `apply_action` the state stays where it is."""
    with started(subject) as connector:
        first = state_of(connector)
        for _ in range(LOOKS):
            moved = float(abs(state_of(connector) - first).max())
            if not moved <= subject.still_within:
                fail(f"it moved by {moved:g} before the first apply_action (still_within is {subject.still_within:g})")


def applies_and_returns_at_once(subject: Subject) -> None:
    """`apply_action` waits for nothing: neither until its step is over nor until the robot is there."""
    with started(subject) as connector:
        chunk = chunk_of(subject, connector, step_s=LONG_STEP_S)
        before = chunk.actions.copy()
        took_s = in_time(lambda: connector.apply_action(chunk), "apply_action", subject.hangs_s)
        if took_s >= LONG_STEP_S / 2:
            fail(f"apply_action took {took_s:.1f} s; it holds the control loop up: send the command and return")
        if not (chunk.actions == before).all():
            fail("apply_action changes the chunk that it is given, which others read too; copy what you change")


def observes_beside_applying(subject: Subject) -> None:
    """One thread observes while another applies, as in every run."""
    with started(subject) as connector:
        chunk = chunk_of(subject, connector, step_s=0.01)
        run_beside(
            lambda: again_and_again(lambda: connector.apply_action(chunk)),
            lambda: again_and_again(lambda: check_now(connector, subject.state_dim)),
            subject.hangs_s,
        )


def stops_safely_twice_and_from_any_thread(subject: Subject) -> None:
    """`safe_stop()` may come twice, from another thread, with a reason, and before anything was applied."""
    with started(subject) as connector:
        in_time(connector.safe_stop, "safe_stop before anything was applied", subject.hangs_s)
        connector.apply_action(chunk_of(subject, connector, step_s=0.01))
        for number in range(2):
            in_time(
                lambda: connector.safe_stop("held to its contract"), f"safe_stop, time {number + 1}", subject.hangs_s
            )
        connector.safe_stop()


def stops_safely_while_it_observes(subject: Subject) -> None:
    """A safe stop does not wait for another thread that keeps asking."""
    with started(subject) as connector:
        is_over = threading.Event()

        def stop_on() -> None:
            while not is_over.wait(BETWEEN_STOPS_S):
                connector.safe_stop("beside an observation")

        def look() -> None:
            try:
                again_and_again(connector.get_observation)
            finally:
                is_over.set()

        run_beside(stop_on, look, subject.hangs_s)


def stops_twice_and_without_a_start(subject: Subject) -> None:
    """`stop` closes what is open, and no more: without `start`, after one that failed, and twice."""
    in_time(subject.make().stop, "stop without start", subject.hangs_s)
    failing = subject.make_failing()
    if failing is not None:
        try:
            failing.start()
        except Exception:  # noqa: BLE001, S110  # whatever it raises: it is meant to fail
            pass
        else:
            fail("start of what make_failing gives does not fail")
        in_time(failing.stop, "stop after a start that failed", subject.hangs_s)
    with started(subject) as connector:
        in_time(connector.stop, "stop", subject.hangs_s)


def leaves_no_thread(subject: Subject) -> None:
    """After `stop` no thread of it runs any more."""
    with subject.leaves_no_thread(), started(subject) as connector:
        connector.get_observation()


def can_be_made_again(subject: Subject) -> None:
    """What one run has closed the next one can open."""
    for _ in range(2):
        with started(subject) as connector:
            connector.get_observation()


Rule = Callable[[Subject], None]

RULES: Final[tuple[Rule, ...]] = (
    has_the_five_methods,
    observes_what_a_policy_takes,
    goes_forward_in_time,
    moves_nothing_before_it_is_told,
    applies_and_returns_at_once,
    observes_beside_applying,
    stops_safely_twice_and_from_any_thread,
    stops_safely_while_it_observes,
    stops_twice_and_without_a_start,
    leaves_no_thread,
    can_be_made_again,
)


def check_connector(
    make: Callable[[], Connector],
    *,
    state_dim: int,
    action_dim: int | None = None,
    still_within: float = 0.5,
    make_failing: Callable[[], Connector | None] = lambda: None,
) -> None:
    """Every rule, each on a connector of its own; `AssertionError` names the first that is broken."""
    for rule in RULES:
        rule(Subject(make, make_failing, state_dim, action_dim, still_within))


class ConnectorContract:
    """A test for each rule. Subclass it as `Test...`, and say how your connector is made."""

    state_dim: ClassVar[int]
    """Numbers in a state."""
    action_dim: ClassVar[int | None] = None
    """Axes of an action; by default as many as the state has."""
    still_within: ClassVar[float] = 0.5
    """In the state's units: by how much it may seem to move while it stands still."""

    def make_connector(self) -> Connector:
        """A new one, not started."""
        raise SetupError("say how your connector is made: def make_connector(self): return MyArm(...)")

    def make_failing(self) -> Connector | None:
        """One whose `start` fails, as with a port that is not there; None where that cannot be had."""
        return None

    def subject(self) -> Subject:
        """What the rules look at."""
        return Subject(self.make_connector, self.make_failing, self.state_dim, self.action_dim, self.still_within)


def _test_of(rule: Rule) -> Callable[[ConnectorContract], None]:
    def test(self: ConnectorContract) -> None:
        rule(self.subject())

    test.__doc__, test.__name__ = rule.__doc__, f"test_it_{rule.__name__}"
    return test


for _rule in RULES:
    setattr(ConnectorContract, f"test_it_{_rule.__name__}", _test_of(_rule))


@contextmanager
def started(subject: Subject) -> Iterator[Connector]:
    """Stopped again, whatever happens: safely, and for good."""
    connector: Any = subject.make()
    try:
        in_time(connector.start, "start", subject.hangs_s)
        yield connector
    finally:
        in_time(connector.stop, "stop", subject.hangs_s)


def chunk_of(subject: Subject, connector: Connector, *, step_s: float) -> ActionChunk:
    """One action: to stay where it is."""
    state = state_of(connector)
    if subject.action_dim is not None and subject.action_dim > len(state):
        fail(f"an action has {subject.action_dim} axes and the state only {len(state)}; override chunk_of's pose")
    return ActionChunk(state[None, : subject.action_dim].copy(), step_s)


def again_and_again(call: Callable[[], object]) -> None:
    """As a loop does."""
    for _ in range(BESIDE):
        call()


def check_now(connector: Connector, state_dim: int) -> None:
    """One observation, whole."""
    asked_s = time.monotonic()
    check_observation(connector.get_observation(), state_dim, asked_s, time.monotonic())
