"""Whole runs on real servers: with a session and without, by each transport, of the simulated arm and of somebody's
commands, in both modes.

Sessions of commands need a server of their own: `make whole-runs` has them.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from reflex.control import ControlClient
from reflex_runner.config import load_robot_config
from reflex_runner.running.options import RunOptions
from reflex_runner.running.run import Outcome, run
from support.images import encoded, photo
from support.outside.control_plane import prepared_store, running_control
from support.runner.driven import Driven, deployed, models_for, served_for_sessions
from support.server import running_server

STEPS: Final = 6
SEEN_STEPS: Final = 50
"""Of a dry run that a doctor takes for one."""
TRANSPORTS: Final = ("act", "stream", "openpi")
MODES: Final = ("dry_run", "apply_actions")
EMBODIMENTS: Final = {"sim": "so101_sim", "subprocess": "so101"}
"""Of each kind of hardware: a simulated one is refused for what is not simulated."""
COMBINATIONS: Final = [
    pytest.param(*each, marks=pytest.mark.slow if each[:2] == (True, "subprocess") else ())
    for each in itertools.product((False, True), EMBODIMENTS, TRANSPORTS, MODES)
]
COMMAND: Final = """
import json, sys
state = [0.0, 0.0, 0.0, 0.0, 0.0, 50.0]
for line in sys.stdin:
    asked = json.loads(line)
    answer = {"seq": asked["seq"]}
    if asked["op"] == "observe":
        answer["state"] = state
    elif asked["op"] == "apply":
        state = asked["actions"][-1]
        print(line, end="", file=open("applied", "a"))
    print(json.dumps(answer), flush=True)
"""


def settings(kind: str, mode: str, made: dict[str, Any], url: str | None, **more: Any) -> dict[str, Any]:
    """Of a patient run: a busy machine is no silent server."""
    session = {"mode": mode, "max_steps": STEPS, "instruction": "pick up the cube", "heartbeat_interval_s": 0.2}
    return {
        "session": session | more.pop("session", {}),
        "target": {"kind": kind, "url": url, "timeout_s": 10, "connect_timeout_s": 60},
        "safety": {"hold_after_ms": 20_000, "stop_after_ms": 50_000, "stop_ladder": ["hold"]},
        "recording": {"formats": []},
        **made,
        **more,
    }


def ran(folder: Path, given: dict[str, Any], **options: Any) -> Outcome:
    path = folder / "robot.yaml"
    path.write_text(json.dumps(given), encoding="utf-8")
    return run(load_robot_config(path, {}), RunOptions(**options))


def moved(outcome: Outcome, mode: str) -> int:
    """The steps that were applied, of a run that went well."""
    result = outcome.result
    assert result.ok, result.errors
    assert result.steps >= STEPS
    assert result.applied_steps == (result.steps if mode == "apply_actions" else 0)
    return result.applied_steps


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The model repository for a kind of hardware."""
    return cache(lambda hardware: models_for(EMBODIMENTS[hardware], tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def bare(models: Callable[[str], Path]) -> Iterator[Callable[[str], str]]:
    """Where the server without sessions is, that the first run of a kind of hardware starts."""
    with ExitStack() as opened:

        def of(hardware: str) -> str:
            options = ("--model-repository", str(models(hardware)), "--policy", "sim_demo")
            return opened.enter_context(running_server(*options)).base_url

        yield cache(of)


@pytest.fixture(scope="module")
def driven(
    models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Driven]]:
    """A control plane, and beside it a server for sessions of each kind of hardware that is run."""
    folder = tmp_path_factory.mktemp("control") / "data"
    with ExitStack() as opened:
        ours, _ = opened.enter_context(prepared_store(folder))
        control = opened.enter_context(running_control(folder))
        key = ours.admin().secret
        operator = opened.enter_context(ControlClient(control.base_url, api_key=key))

        def of(hardware: str) -> Driven:
            server = opened.enter_context(served_for_sessions(control, operator, models(hardware)))
            return deployed(control, operator, key, server, models(hardware), EMBODIMENTS[hardware])

        yield cache(of)


def robot(hardware: str, folder: Path) -> dict[str, Any]:
    """The sections `hardware` and `cameras` of one; the simulator has its own cameras."""
    if hardware == "sim":
        return {"hardware": {"kind": "sim"}}
    (folder / "arm.py").write_text(COMMAND, encoding="utf-8")
    command = [sys.executable, "arm.py"]
    cameras = {}
    for name in ("front", "wrist"):
        (folder / name).mkdir()
        for number in range(2):
            (folder / name / f"{number}.png").write_bytes(encoded(photo(number, 32, 32), "PNG"))
        cameras[name] = {"kind": "file", "path": name, "fps": 30, "max_image_age_ms": 20_000}
    told = {"kind": "subprocess", "observe": command, "apply": command, "persistent": True, "command_timeout_s": 30}
    return {"hardware": told, "cameras": cameras}


def test_there_are_as_many_combinations_as_there_should_be() -> None:
    assert len({each.values for each in COMBINATIONS}) == 2 * 2 * 3 * 2


@pytest.mark.slow
@pytest.mark.parametrize(("with_session", "hardware", "kind", "mode"), COMBINATIONS)
def test_every_combination_runs_and_moves_only_in_apply_actions(
    with_session: bool,
    hardware: str,
    kind: str,
    mode: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    made = robot(hardware, tmp_path)
    if with_session:
        applied = run_of_a_session(request.getfixturevalue("driven")(hardware), kind, mode, made, tmp_path)
    else:
        url = request.getfixturevalue("bare")(hardware)
        outcome = ran(tmp_path, settings(kind, mode, made, url))
        applied = moved(outcome, mode)
        assert outcome.result.latency_ms["p50"] > 0
    if hardware == "subprocess":
        file = tmp_path / "applied"
        lines = file.read_text().splitlines() if file.exists() else []
        assert bool(lines) == bool(applied)
        # While one is being applied only the newest of those that follow waits.
        numbers = [json.loads(line)["seq"] for line in lines]
        assert numbers == sorted(set(numbers))


def run_of_a_session(driven: Driven, kind: str, mode: str, made: dict[str, Any], folder: Path) -> int:
    """The steps that were applied. What moves has had its dry run, by which the doctor lets it."""
    deployment_id, robot_id = driven.deploy(f"{made['hardware']['kind']} {kind} {mode}")
    who = {"deployment_id": deployment_id, "robot_id": robot_id}
    at: dict[str, Any] = {"api_key": driven.key, "convex_url": driven.control.base_url}
    steps = SEEN_STEPS if mode == "apply_actions" else STEPS
    outcome = ran(folder, settings(kind, "dry_run", made, None, session={**who, "max_steps": steps}), **at)
    moved(outcome, "dry_run")
    if mode == "apply_actions":
        report = driven.operator.run_deployment_doctor(deployment_id)
        assert report["ready"], [each for each in report["checks"] if each["status"] == "fail"]
        outcome = ran(folder, settings(kind, mode, made, None, session=who), **at)
    applied = moved(outcome, mode)
    session = driven.operator.get_session(str(outcome.session_id))
    assert (session["status"], session["reason"]) == ("closed", "runner_ended")
    assert session["appliedSteps"] == applied
    return applied
