"""The policy is registered, trained, compared and normalised, by the registered record and by every served one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reflex_control.store.tables import model
from unit.reflex_control.doctor.doctor_scene import CONFIG, Frontend, Scene

Say = Callable[[Scene, Frontend, dict[str, Any]], None]


def registered(scene: Scene, _one: Frontend, fields: dict[str, Any]) -> None:
    scene.change_config(**fields)


def served(_scene: Scene, one: Frontend, fields: dict[str, Any]) -> None:
    one.config |= fields


NORMALIZATION: list[dict[str, Any]] = CONFIG["normalization"]


def normalised(place: int, **changes: Any) -> dict[str, Any]:
    return {"normalization": [{**each, **(changes if i == place else {})} for i, each in enumerate(NORMALIZATION)]}


ILL: list[tuple[dict[str, Any], str, str, str, str]] = [
    ({"trained": False}, "trained", "fail", "untrained", "reflex export"),
    ({"parity": {"verdict": "failed"}}, "parity", "fail", "differs from the reference", "--cases FOLDER"),
    ({"parity": {"verdict": "not checked"}}, "parity", "warn", "not compared", "--cases FOLDER"),
    ({"parity": None}, "parity", "warn", "not compared", "--cases FOLDER"),
    ({"parity": {"verdict": 1.0}}, "parity", "warn", "not compared", "--cases FOLDER"),
    ({"normalization": []}, "normalisation", "fail", "observation.state and action", "reflex export"),
    ({"normalization": NORMALIZATION[:1]}, "normalisation", "fail", "how action is normalised", "reflex export"),
    (normalised(1, mode="IDENTITY"), "normalisation", "warn", "action is not normalised", "reflex export"),
    (
        normalised(0, never_moved=[2, 4]),
        "normalisation",
        "warn",
        "one value in all of training on entries 2, 4",
        "reflex",
    ),
    ({"warnings": ["statistics of another robot"]}, "normalisation", "warn", "another robot", "reflex export"),
]


@pytest.mark.slow
@pytest.mark.parametrize("say", [registered, served])
@pytest.mark.parametrize(("fields", "name", "status", "words", "fix"), ILL)
def test_each_fault_of_any_record_fails_its_own_check_with_its_fix(
    scene: Scene, one: Frontend, say: Say, fields: dict[str, Any], name: str, status: str, words: str, fix: str
) -> None:
    say(scene, one, fields)
    checks = scene.checks()

    assert {name: check["status"] for name, check in checks.items() if check["status"] != "pass"} == {name: status}
    assert words in checks[name]["message"]
    assert fix in checks[name]["fix"]


def test_an_untrained_policy_may_move_a_simulated_robot_and_is_a_warning(scene: Scene, one: Frontend) -> None:
    one.config["trained"] = False
    scene.change_schema(simulation=True)

    assert scene.not_passed() == {"trained": "warn"}
    assert scene.examine()["ready"] is True


def test_a_policy_for_simulation_moves_nothing_real(scene: Scene, one: Frontend) -> None:
    one.change_arm(simulation=True)
    checks = scene.checks()
    assert checks["trained"]["status"] == "fail"
    assert checks["trained"]["message"].startswith("simulation only")
    assert "reflex export" in checks["trained"]["fix"]

    scene.change_schema(simulation=True)
    assert scene.not_passed() == {}


def test_a_revoked_model_is_not_registered_any_more(scene: Scene) -> None:
    scene.change(model, revoked_at=scene.at_ms)
    check = scene.checks()["model_registered"]
    assert (check["status"], check["message"]) == ("fail", "pick was revoked")
    assert "reflex deploy create" in check["fix"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [{}, {"trained": True}, {**CONFIG, "policy_hash": "sha256:" + "0" * 64}, {**CONFIG, "state_dim": "6"},
     {**CONFIG, "cameras": "front"}, {**CONFIG, "embodiment": ["so101"]}],
)  # fmt: skip
def test_a_model_without_its_whole_record_fails_and_the_served_record_is_looked_at(
    scene: Scene, config: dict[str, Any]
) -> None:
    scene.change(model, config=config)
    checks = scene.checks()
    assert checks["model_registered"]["status"] == "fail"
    assert "reflex models register" in checks["model_registered"]["fix"]
    assert {check["status"] for name, check in checks.items() if name != "model_registered"} == {"pass"}


def test_without_any_record_nothing_is_said_of_the_policy(scene: Scene, one: Frontend) -> None:
    scene.change(model, config={})
    one.status["/config"] = 500
    checks = scene.checks()
    names = ("trained", "parity", "normalisation", "state_dim", "action_dim", "units", "cameras", "limits")
    assert {checks[name]["status"] for name in names} == {"skip"}
