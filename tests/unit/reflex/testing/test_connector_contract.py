"""The contract lets every connector through that keeps it, and finds each way to break it."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.connector import Connector
from reflex.errors import SetupError
from reflex.testing import connector_contract, subject
from reflex.testing.connector_contract import RULES, ConnectorContract, Subject, check_connector
from support.robots.broken_arms import BROKEN, PORTS, Arm, LeavesAThread

CASES = [(rule, kind, said) for rule, cases in BROKEN.items() for kind, said in cases]


class TestAGoodArm(ConnectorContract):
    """As a user writes it."""

    state_dim = 3

    def make_connector(self) -> Connector:
        return Arm()

    def make_failing(self) -> Connector:
        return Arm("missing")


def failing(kind: Any) -> Connector | None:
    try:
        arm: Connector = kind("missing")
    except TypeError:
        return None
    return arm


@pytest.mark.parametrize(("rule", "kind", "said"), CASES, ids=[f"{rule}-{said[:20]}" for rule, _, said in CASES])
def test_each_way_to_break_it_is_found_by_its_rule(
    rule: str, kind: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_contract, "LONG_STEP_S", 0.2)
    monkeypatch.setattr(subject, "THREAD_S", 0.05)
    PORTS.clear()
    LeavesAThread.end.clear()
    [check] = [each for each in RULES if each.__name__ == rule]
    hangs_s = 0.2 if "hangs" in said else 30.0

    with pytest.raises(AssertionError, match="the connector breaks its contract: ") as broken:
        check(Subject(kind, lambda: failing(kind), 3, None, 0.5, hangs_s))
    LeavesAThread.end.set()
    assert said in str(broken.value)


def test_every_rule_has_a_connector_that_breaks_it() -> None:
    assert {rule.__name__ for rule in RULES} == BROKEN.keys()


def test_all_rules_are_checked_without_pytest_too() -> None:
    check_connector(Arm, state_dim=3, make_failing=lambda: Arm("missing"))
    with pytest.raises(AssertionError, match=r"state has the shape \(3,\) instead of \(4,\)"):
        check_connector(Arm, state_dim=4)


def test_a_start_that_was_meant_to_fail_and_did_not_is_said() -> None:
    with pytest.raises(AssertionError, match="start of what make_failing gives does not fail"):
        check_connector(Arm, state_dim=3, make_failing=Arm)


def test_the_class_has_a_test_for_each_rule_and_says_what_is_missing() -> None:
    tests = [name for name in vars(ConnectorContract) if name.startswith("test_")]

    assert len(tests) == len(RULES)
    with pytest.raises(SetupError, match="say how your connector is made"):
        ConnectorContract().make_connector()
