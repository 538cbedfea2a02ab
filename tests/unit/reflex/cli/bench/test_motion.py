"""`reflex bench motion`: what it prints, what it refuses, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.wording.install import install_line
from reflex_analysis.motion import plants
from reflex_analysis.motion.strategies import STRATEGIES
from support.motion.server import MotionServer, motion_server
from support.waiting import HANGS_S, wait_until

RUNNER = CliRunner()
SHORT = ("--latency-ms", "0", "--jitter-ms", "0", "--seconds", "1", "--plant", "point-mass")


def bench(server: MotionServer, *options: str) -> Any:
    return RUNNER.invoke(app, ["bench", "motion", server.url, *options])


@pytest.mark.slow
def test_it_prints_a_table_and_draws_a_plot(tmp_path: Path) -> None:
    with motion_server() as server:
        ended = bench(server, *SHORT, "--strategies", "open-loop", "--plot", str(tmp_path / "motion.png"))

    assert ended.exit_code == 0, ended.stderr
    heading, names, _units, row = ended.stdout.splitlines()
    assert "on franka (point-mass): chunks of 50 at 20 Hz" in heading
    assert names.startswith("strategy")
    assert row.split()[:2] == ["open-loop", "0"]
    assert (tmp_path / "motion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_as_json_it_is_one_value_with_every_trial() -> None:
    with motion_server(rtc_applied=True) as server:
        ended = bench(server, *SHORT, "--strategies", "open-loop,rtc", "--control-hz", "50", "--json")
    found = json.loads(ended.stdout)

    assert ended.exit_code == 0
    assert [trial["strategy"] for trial in found["trials"]] == ["open-loop", "rtc"]
    assert (found["control_hz"], found["has_rtc"], found["interrupted"]) == (50.0, True, False)


@pytest.mark.slow
def test_without_rtc_in_the_server_it_is_left_out_unless_it_was_named() -> None:
    with motion_server() as server:
        all_of_them = bench(server, *SHORT, "--json")
        named = bench(server, *SHORT, "--strategies", "sync,rtc", "--json")

    assert [trial["strategy"] for trial in json.loads(all_of_them.stdout)["trials"]] == ["sync", "open-loop"]
    assert "rtc is left out: the server does not run with --rtc" in all_of_them.stderr
    assert "rtc+a2c2 is left out: the server does not run with --rtc" in all_of_them.stderr
    assert named.exit_code == 1
    assert json.loads(named.stdout)["message"] == (
        "the strategy rtc needs a server that runs with --rtc; start it so, or leave rtc out"
    )


@pytest.mark.slow
def test_a_head_is_tried_with_a_second_server_that_has_one() -> None:
    with motion_server(rtc_applied=True) as plain, motion_server(rtc_applied=True, a2c2_applied=True) as corrects:
        ended = bench(plain, *SHORT, "--strategies", "rtc,rtc+a2c2", "--a2c2-url", corrects.url, "--json")
        trials = json.loads(ended.stdout)["trials"]

    assert ended.exit_code == 0, ended.stderr
    assert [(trial["strategy"], trial["corrected"] > 0) for trial in trials] == [("rtc", False), ("rtc+a2c2", True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("telling", "told"),
    [
        ({"rtc_applied": True}, "--a2c2-url: its server runs without --a2c2-checkpoint"),
        ({"a2c2_applied": True}, "--a2c2-url: its server runs without --rtc"),
        ({"rtc_applied": True, "a2c2_applied": True, "model_version": "other@1"}, "its server serves other@1 and the"),
    ],
)
def test_a_second_server_that_differs_in_more_than_its_head_is_refused(telling: dict[str, Any], told: str) -> None:
    with motion_server(rtc_applied=True) as plain, motion_server(**telling) as other:
        ended = bench(plain, *SHORT, "--a2c2-url", other.url, "--json")

    assert ended.exit_code == 1
    assert told in json.loads(ended.stdout)["message"]


@pytest.mark.slow
def test_without_a_second_server_the_head_is_left_out_unless_it_was_named() -> None:
    with motion_server(rtc_applied=True) as server:
        all_of_them = bench(server, *SHORT, "--json")
        named = bench(server, *SHORT, "--strategies", "rtc+a2c2", "--json")

    assert [trial["strategy"] for trial in json.loads(all_of_them.stdout)["trials"]] == ["sync", "open-loop", "rtc"]
    assert "rtc+a2c2 is left out: no --a2c2-url was given" in all_of_them.stderr
    assert named.exit_code == 1
    assert json.loads(named.stdout)["message"] == (
        "the strategy rtc+a2c2 needs --a2c2-url, a second server with --rtc and --a2c2-checkpoint; give it, or leave "
        "rtc+a2c2 out"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("installed", "moved"), [(True, "mujoco"), (False, "point-mass")])
def test_mujoco_moves_the_arm_where_it_is_installed(
    installed: bool, moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(plants, "find_spec", lambda _name: None)
    with motion_server() as server:
        ended = bench(server, *SHORT[:-2], "--strategies", "open-loop", "--json")

    assert json.loads(ended.stdout)["plant"] == moved


def test_mujoco_that_is_not_installed_is_said_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with motion_server() as server:
        ended = bench(server, *SHORT[:-2], "--plant", "mujoco", "--strategies", "sync", "--json")

    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["message"] == f"--plant mujoco needs MuJoCo: {install_line('sim')}"


def test_the_default_is_every_strategy_that_there_is() -> None:
    from reflex.cli.bench.motion import ALL_STRATEGIES

    assert ",".join(STRATEGIES) == ALL_STRATEGIES


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--strategies", "sync,smooth"], "'smooth' is no strategy; there are sync, open-loop, rtc, rtc+a2c2"),
        (["--plant", "gazebo"], "'gazebo' is not one of 'point-mass', 'mujoco'"),
        (["--strategies", "rtc", "--a2c2-url", "http://127.0.0.1:9"], "needs the strategy rtc+a2c2"),
        (["--latency-ms", "fast"], "'fast' is not a list like 0,50,100"),
        (["--latency-ms", "0,nan"], "takes numbers from 0 to 10000"),
        (["--latency-ms", "-5"], "takes numbers from 0 to 10000"),
        (["--latency-ms", ""], "'' is not a list like 0,50,100"),
        (["--seconds", "inf"], "must be a finite number"),
        (["--jitter-ms", "inf"], "must be a finite number"),
    ],
)
def test_what_cannot_be_tried_is_wrong_usage(options: list[str], told: str) -> None:
    ended = RUNNER.invoke(app, ["bench", "motion", "http://127.0.0.1:9", *options, "--json"])

    assert ended.exit_code == 2
    assert told in json.loads(ended.stdout)["message"]


def test_a_plot_that_has_no_folder_is_refused_before_anything_is_tried(tmp_path: Path) -> None:
    with motion_server() as server:
        ended = bench(server, *SHORT, "--plot", str(tmp_path / "nowhere" / "motion.png"))

    assert ended.exit_code == 1
    assert "there is no folder" in ended.stderr
    assert server.bodies == []


def test_nobody_at_the_address_is_one_sentence() -> None:
    ended = RUNNER.invoke(app, ["bench", "motion", "http://127.0.0.1:9", "--json"])

    assert ended.exit_code == 1
    assert "127.0.0.1:9" in json.loads(ended.stdout)["message"]


@pytest.mark.slow
def test_an_interruption_prints_the_trials_that_are_over() -> None:
    with motion_server() as server:
        command = [sys.executable, "-m", "reflex.cli", "bench", "motion", server.url, "--json", "--strategies", "sync"]
        options = ["--latency-ms", "0,100,200,300", "--seconds", "1", "--plant", "point-mass"]
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            wait_until(lambda: len({body["episode_id"] for body in server.bodies}) > 2, "the second trial runs")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=HANGS_S)
    found = json.loads(out)

    assert process.returncode == 130
    assert found["interrupted"]
    assert 1 <= len(found["trials"]) < 4
