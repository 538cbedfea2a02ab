"""Each frontend is there, ready, serves what was registered, and has the time: each fault fails its own check."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from reflex_control.doctor.frontend_checks import clock
from reflex_control.doctor.sighting import Sighting
from reflex_control.store.tables import deployment, robot
from unit.reflex_control.doctor.doctor_scene import HASH, Frontend, Scene

OTHER = "sha256:" + "cd" * 32


def found(scene: Scene, name: str) -> tuple[str, str, str]:
    check = scene.checks()[name]
    return check["status"], check["message"], str(check["fix"])


def test_no_frontend_is_told_with_what_to_deploy(scene: Scene) -> None:
    scene.change(deployment, runtime=None)

    assert scene.not_passed() == {
        "act_reachable": "fail", "model_loaded": "skip", "model_version": "skip", "limits": "skip",
    }  # fmt: skip
    status, message, fix = found(scene, "act_reachable")
    assert (status, "names no frontend" in message) == ("fail", True)
    assert fix == (
        f"reflex deploy create --name NAME --model-id {scene.model_id} --robot-schema-id {scene.schema_id} "
        "--act-url URL --mode apply_actions"
    )


def test_nobody_there_is_told_with_the_address_and_a_start(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    scene.change(deployment, runtime={"actUrl": [url]})

    not_passed = scene.not_passed()
    assert {name for name, status in not_passed.items() if status == "fail"} == {"act_reachable"}
    assert {"model_loaded", "model_version", "limits", "clock"} == {
        n for n, status in not_passed.items() if status == "skip"
    }
    _, message, fix = found(scene, "act_reachable")
    assert url in message
    assert fix.startswith("reflex serve --host 0.0.0.0 --sessions-from URL")


def test_what_is_wrong_with_each_of_several_is_told_of_each(scene: Scene, one: Frontend) -> None:
    others = ["http://169.254.169.254", "http://[fe80::1]"]
    scene.change(deployment, runtime={"actUrl": [*others, one.url]})
    status, message, _ = found(scene, "act_reachable")
    assert status == "fail"
    assert "169.254.169.254 is not asked" in message
    assert "fe80::1 is not asked" in message
    assert one.url not in message
    told = scene.checks()["model_loaded"]
    assert (told["status"], told["message"].count("has not told it")) == ("skip", 2)


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://[::ffff:169.254.169.254]:80", "http://2852039166"])
def test_an_address_that_is_never_asked_is_told_as_that(scene: Scene, url: str) -> None:
    scene.change(deployment, runtime={"actUrl": [url]})

    status, message, fix = found(scene, "act_reachable")
    assert (status, "is not asked" in message) == ("fail", True)
    assert fix.endswith("--act-url URL --mode apply_actions")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [("/health", 302, "status 302, which is not followed"), ("/health", 404, "status 404"),
     ("/config", 500, "status 500"), ("/config", 307, "not followed")],
)  # fmt: skip
def test_what_answers_otherwise_is_no_frontend(scene: Scene, one: Frontend, path: str, status: int, words: str) -> None:
    one.status[path] = status
    told, message, fix = found(scene, "act_reachable")
    assert (told, words in message) == ("fail", True)
    assert fix.endswith("reflex serve")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["status", "model_loaded", "policy_hash", "guard_active", "time"])
def test_a_frontend_of_another_release_is_told_as_that(scene: Scene, one: Frontend, name: str) -> None:
    one.health[name] = None
    told, message, fix = found(scene, "act_reachable")
    assert (told, "no answer of a frontend of this release" in message) == ("fail", True)
    assert message.endswith(f"{name} is missing, or has a value that it cannot have")
    assert "this release" in fix


def test_a_frontend_that_refuses_our_sessions_is_told_how_to_take_them(scene: Scene, one: Frontend) -> None:
    one.status["/config"] = 401
    status, message, fix = found(scene, "act_reachable")
    assert (status, "takes no session of this control plane" in message) == ("fail", True)
    assert "--sessions-from" in fix


def test_a_frontend_that_asks_nobody_for_a_session_is_a_warning(scene: Scene, one: Frontend) -> None:
    one.is_guarded = False
    assert scene.not_passed() == {"act_reachable": "warn"}
    assert "--sessions-from" in found(scene, "act_reachable")[2]
    assert scene.examine()["ready"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    "health",
    [{"status": "degraded", "reason": "Triton is gone"}, {"status": "warming", "reason": "Triton is gone"},
     {"model_loaded": False, "reason": "Triton is gone"}],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 503])
def test_a_frontend_that_is_not_ready_fails_as_not_loaded(
    scene: Scene, one: Frontend, health: dict[str, Any], status: int
) -> None:
    one.health |= health
    one.status["/health"] = status
    assert scene.not_passed() == {"model_loaded": "fail"}
    _, message, fix = found(scene, "model_loaded")
    assert "Triton is gone" in message
    assert fix.endswith(f"reflex status {one.url}")


def test_an_address_in_a_command_is_safe_to_type(scene: Scene, one: Frontend) -> None:
    url = f"{one.url}/;reboot"
    scene.change(deployment, runtime={"actUrl": [url]})
    one.prefix = "/;reboot"
    one.health["model_loaded"] = False
    assert found(scene, "model_loaded")[2].endswith(f"reflex status '{url}'")
    one.prefix = ""
    scene.change(deployment, robot_schema_id=None)
    assert f"--act-url '{url}'" in found(scene, "schema_bound")[2]


def test_another_policy_than_the_registered_one_fails_with_both_hashes(scene: Scene, one: Frontend) -> None:
    one.health["policy_hash"] = OTHER
    assert scene.not_passed() == {"model_version": "fail"}
    _, message, fix = found(scene, "model_version")
    assert OTHER in message
    assert HASH in message
    assert "reflex models register" in fix


def test_a_second_policy_that_may_answer_fails_as_well(scene: Scene, one: Frontend) -> None:
    slots = {"a": {"policy_hash": HASH}, "b": {"policy_hash": HASH}}
    one.health["slots"] = slots
    assert scene.not_passed() == {}
    slots["b"]["policy_hash"] = OTHER
    assert scene.not_passed() == {"model_version": "fail"}


@pytest.mark.slow
@pytest.mark.parametrize(("ahead_ms", "words"), [(0, ""), (1_900, ""), (100_000, "ahead of"), (-100_000, "behind")])
def test_a_frontends_clock_is_held_against_ours(scene: Scene, one: Frontend, ahead_ms: int, words: str) -> None:
    one.ahead_ms = ahead_ms
    assert scene.not_passed() == ({"clock": "fail"} if words else {})
    if words:
        _, message, fix = found(scene, "clock")
        assert one.url in message
        assert words in message
        assert fix.endswith("timedatectl set-ntp true")


@pytest.mark.parametrize(
    ("skew_ms", "status"),
    [((1_999, 2_500), "pass"), ((2_000, 2_500), "fail"), ((-5_000, -1_999), "pass"), ((-5_000, -2_000), "fail"),
     ((-9_000, 9_000), "pass")],
)  # fmt: skip
def test_the_least_that_a_clock_may_be_off_is_less_than_2_s(skew_ms: tuple[float, float], status: str) -> None:
    case: Any = SimpleNamespace(sightings=[Sighting("http://a", skew_ms=skew_ms)])
    assert clock(case, None).status == status


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent_at", "status"),
    [("2026-05-28T20:26:40.000Z", "pass"), ("2026-05-28T20:26:41.999Z", "pass"), ("2026-05-28T20:26:42.000Z", "fail"),
     ("2026-05-28T20:26:38.000Z", "fail"), ("1999-01-01T00:00:00.000Z", "fail"), ("noon", "warn"), (None, "pass")],
)  # fmt: skip
def test_a_robots_clock_is_held_to_the_same(scene: Scene, sent_at: str | None, status: str) -> None:
    scene.change(robot, heartbeat={"calibration_id": "calib-1", "sent_at": sent_at})
    told, message, _ = found(scene, "clock")
    assert told == status
    assert ("arm-1" in message) == (status != "pass")
