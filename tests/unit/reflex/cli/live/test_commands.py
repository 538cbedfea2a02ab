from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.embodiments import load_embodiment
from reflex.errors import NO_SUCH_ROUTE
from reflex.wire import EMBODIMENT_FIELD


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_page_says_all_that_there_is_to_say(told: Any) -> None:
    result = run("status", told.url)

    assert result.exit_code == 0
    for row in (
        "health   ready\n",
        "up       12 min\n",
        "policy   demo@1 on onnx_cpu\n",
        "robot    ur5, 20 actions a second, 50 a chunk; untrained: its actions mean nothing\n",
        "axes     shoulder_pan_joint (rad), ",
        "answers  10 since the start: mean 20.0 ms, p50 at most 10 ms\n",
        "errors   3 x 422\n",
        "guard    changed 2 of 10 answers\n",
    ):
        assert row in result.stdout, row


def test_of_a_trained_policy_for_the_simulator_it_says_that(told: Any) -> None:
    arm = dataclasses.asdict(load_embodiment("so101_sim"))
    told.answers["/config"] = (200, told.answers["/config"][1] | {"trained": True, EMBODIMENT_FIELD: arm})

    assert "robot    so101_sim, 30 actions a second, 50 a chunk; simulation only\n" in run("status", told.url).stdout


@pytest.mark.parametrize("command", ["status", "watch --once", "check"])
def test_the_server_is_taken_as_argument_or_option(told: Any, command: str) -> None:
    asked = command.split()
    positional, option = run(*asked, told.url), run(*asked, "--url", told.url)

    assert (option.exit_code, positional.exit_code) == (0, 0)
    assert told.url in option.stdout
    assert option.stdout.replace(told.url, "").split()[:2] == positional.stdout.replace(told.url, "").split()[:2]
    assert run(*asked, told.url, "--url", told.url).exit_code == 0


@pytest.mark.parametrize("command", ["status", "watch", "check"])
def test_two_different_servers_are_wrong_usage(told: Any, command: str) -> None:
    result = run(command, told.url, "--url", "http://127.0.0.1:9")

    assert result.exit_code == 2
    assert "the server is given twice" in result.stderr


def test_a_watch_is_a_json_value_a_line(told: Any) -> None:
    looked, asked = run("watch", told.url, "--once", "--json"), run("watch", told.url, "--once", "--json", "--ask")

    assert json.loads(looked.stdout) == json.loads(run("status", told.url, "--json").stdout)
    assert json.loads(asked.stdout)["answer"]["actions"]
    silent = run("watch", "http://127.0.0.1:9", "--once", "--json")
    assert (silent.exit_code, json.loads(silent.stdout)["error"]) == (1, "unreachable")
    assert list(json.loads(silent.stdout)) == ["error", "message", "hint", "request_id", "url"]


def test_json_is_one_value_with_the_same(told: Any) -> None:
    found = json.loads(run("status", told.url, "--json").stdout)

    assert found["health"]["status"] == "ready"
    assert found["policies"]["a"]["axes"]["elbow_joint"] == "rad"
    assert found["answers"] == {
        "count": 10, "mean_ms": 20.0, "p50_at_most_ms": 10.0, "p99_at_most_ms": None, "guard_clamped": 2,
    }  # fmt: skip
    assert found["errors"] == {"422": 3}


def test_a_server_that_is_not_ready_is_code_1_with_its_reason(told: Any) -> None:
    told.answers["/health"] = (503, {"status": "degraded", "model_loaded": False, "reason": "Triton does not answer"})
    result = run("status", told.url)

    assert result.exit_code == 1
    assert "health   degraded: Triton does not answer\n" in result.stdout


def test_two_policies_are_told_by_their_slots(told: Any) -> None:
    config = told.answers["/config"][1]
    told.answers["/config"] = (200, {"a": config, "b": {**config, "policy_id": "other"}})
    told.answers["/health"][1]["slots"] = {
        "a": {"status": "ready", "model_version": "demo@1", "slo_violated": True},
        "b": {"status": "degraded", "model_version": "other@2", "reason": "gone"},
    }
    text = run("status", told.url).stdout

    assert "slot a   demo@1, ready, misses its objective\n" in text
    assert "slot b   other@2, degraded: gone\n" in text
    assert text.count("robot ") == 1


def test_who_has_no_key_is_told_all_but_the_robot(told: Any) -> None:
    told.answers["/config"] = (401, {"error": "unauthorized", "message": "send a key", "request_id": "r"})
    result = run("status", told.url)

    assert result.exit_code == 0
    assert "robot    not told: unauthorized: send a key\n" in result.stdout
    assert "answers  10" in result.stdout


@pytest.mark.parametrize("path", ["/config", "/health"])
def test_a_server_of_something_else_is_a_sentence(told: Any, path: str) -> None:
    told.answers[path] = (200, {"hello": "world"})
    result = run("status", told.url)

    assert isinstance(result.exception, SystemExit | None)
    assert "Traceback" not in result.output


def test_nobody_there_is_one_json_value_and_code_1() -> None:
    result = run("status", "http://127.0.0.1:1", "--json")

    assert (result.exit_code, json.loads(result.stdout)["error"]) == (1, "unreachable")


def test_watch_once_is_the_page_once(told: Any) -> None:
    result = run("watch", told.url, "--once")

    assert result.exit_code == 0
    assert result.stdout.count("health   ready") == 1


def test_watch_plots_a_chunk_axis_by_axis_when_it_is_told_to_ask(told: Any) -> None:
    assert "elbow_joint (rad)          ▁▁" in run("watch", told.url, "--once", "--ask").stdout


def test_watching_nobody_once_is_code_1_and_a_sentence() -> None:
    result = run("watch", "http://127.0.0.1:1", "--once")

    assert result.exit_code == 1
    assert "no answer: http://127.0.0.1:1 cannot be reached" in result.stdout


@pytest.mark.parametrize("command", ["status", "watch --once"])
def test_a_control_plane_is_told_from_a_server_of_policies(told: Any, command: str) -> None:
    told.answers |= {"/health": (200, {"status": "ready"}), "/metrics": (200, "")}
    page, value = run(*command.split(), told.url), run(*command.split(), told.url, "--json")

    assert (page.exit_code, value.exit_code) == (1, 1)
    assert "no server of policies" in page.output
    assert "`reflex serve`" in json.loads(value.stdout)["message"]


@pytest.mark.parametrize(("status", "code", "hint"), [(404, NO_SUCH_ROUTE, "`reflex serve`"),
                                                     (401, "unauthorized", "`reflex sessions authorize`")])  # fmt: skip
def test_a_refusal_is_followed_by_what_to_do(told: Any, status: int, code: str, hint: str) -> None:
    told.answers["/config"] = (status, {"error": "not_found" if status == 404 else code, "message": code})
    lines, value = run("check", told.url), run("check", told.url, "--json")

    assert hint in lines.stderr
    assert hint in json.loads(value.stdout)["hint"]
