"""The arm in its process: the same as in this one, and there when its runner is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from reflex.errors import SetupError
from reflex_runner.connectors.sim import SimConnector, SimSettings
from reflex_runner.errors import HardwareError, NoPicturesError, RunnerError
from reflex_runner.simulation.remote_arm import RemoteArm
from reflex_runner.simulation.speaking import call, connect, stop_arm
from reflex_runner.simulation.start import APART_M
from support.outside.drawing import skip_without_pictures
from support.waiting import wait_until

SETTINGS = asdict(SimSettings(seed=3, width=32, height=24))
RUNNER = """
import json, sys, time
import numpy as np
from reflex_runner.simulation.remote_arm import RemoteArm
arm = RemoteArm(json.loads(sys.argv[1]))
arm.start()
state, _ = arm.measure()
print(arm.address, flush=True)
while True:
    state = state + np.float32([0.5, 0, 0, 0, 0, 0])
    arm.command(state[None].clip(-100, 100), 1 / 30)
    time.sleep(1 / 30)
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[RemoteArm]:
    skip_without_pictures()
    arm = RemoteArm(SETTINGS)
    arm.start()
    yield arm
    arm.stop()


def told_of(address: str) -> dict[str, Any]:
    with connect(address) as line:
        return call(line, {"do": "tell"})[0]


@pytest.mark.slow
def test_it_measures_sees_and_obeys_as_the_arm_in_this_process_does(shared: RemoteArm) -> None:
    state, captured_s = shared.measure()
    assert state.dtype == np.float32
    assert {name: np.asarray(frame.image).shape for name, frame in shared.pictures().items()} == {
        "front": (24, 32, 3), "wrist": (24, 32, 3)
    }  # fmt: skip
    wait_until(lambda: shared.measure()[1] > captured_s, "a newer state")
    before = shared.newest_pictures()["front"].captured_s
    wait_until(lambda: (shared.measure(), shared.pictures()["front"].captured_s > before)[1], "a newer picture")
    goal = state + np.float32(6.0)
    shared.command(goal[None], 1 / 30)
    wait_until(lambda: np.abs(shared.measure()[0] - goal).max() < 0.5, "the arm goes where it is told")
    shared.command(np.stack([goal, goal + 20]), 0.5)
    shared.hold()
    held_s = shared.measure()[1]
    wait_until(lambda: shared.measure()[1] > held_s + 1.5, "what was commanded for later would be followed by now")
    np.testing.assert_allclose(shared.measure()[0], goal, atol=1.0)
    sight = shared.sight()
    assert (sight.cube.shape, sight.is_held) == ((3,), False)


@pytest.mark.slow
def test_it_is_told_which_of_two_cubes_is_wanted(shared: RemoteArm) -> None:
    arm = RemoteArm({**SETTINGS, "wanted": "green"})
    arm.start()
    try:
        assert np.linalg.norm(arm.sight().cube - shared.sight().cube) >= APART_M
    finally:
        arm.stop()


@pytest.mark.slow
def test_an_arm_whose_runner_is_killed_holds_and_can_be_stopped_and_told_of() -> None:
    skip_without_pictures()
    command = [sys.executable, "-c", RUNNER, json.dumps(SETTINGS)]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    with runner:
        address = runner.stdout.readline().strip()
        wait_until(lambda: told_of(address)["commands"] > 5, "the runner commands")
        runner.send_signal(signal.SIGKILL)
    stop_arm("hold", address)
    left = told_of(address)
    assert left["holds"] == 1
    assert left["last_hold_s"] > left["last_command_s"]
    wait_until(lambda: told_of(address)["captured_s"] > left["captured_s"] + 0.3, "the arm is still there")
    later = told_of(address)
    assert later["commands"] == left["commands"], "nobody commands it any more"
    assert abs(later["state"][0] - left["state"][0]) < 3.0
    with connect(address) as line:
        call(line, {"do": "end"})
    wait_until(lambda: not Path(address).parent.exists(), "it has tidied up")


@pytest.mark.slow
def test_the_end_leaves_no_process_and_no_folder_and_says_whether_the_cube_was_lifted() -> None:
    skip_without_pictures()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    arm = RemoteArm(SETTINGS)
    arm.start()
    folder = Path(arm.address).parent
    arm.stop()
    arm.stop()
    assert not arm.has_lifted
    assert not folder.exists()
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before


@pytest.mark.slow
def test_a_simulation_that_dies_is_an_error_of_the_arm() -> None:
    skip_without_pictures()
    arm = RemoteArm(SETTINGS)
    before = {child.pid for child in psutil.Process().children()}
    arm.start()
    (child,) = [each for each in psutil.Process().children() if each.pid not in before]
    try:
        child.kill()
        wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE or not child.is_running(), "it is dead")
        with pytest.raises(HardwareError, match="the simulation has ended or does not answer"):
            arm.measure()
        with pytest.raises(HardwareError, match="start the run anew"):
            arm.hold()
    finally:
        arm.stop()
    assert not Path(arm.address).parent.exists()


@pytest.mark.slow
def test_a_machine_that_cannot_draw_is_told_as_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MUJOCO_GL", "egl")
    monkeypatch.setitem(os.environ, "__EGL_VENDOR_LIBRARY_FILENAMES", "/nowhere.json")
    arm = RemoteArm(SETTINGS)
    with pytest.raises(NoPicturesError, match="libegl1"):
        arm.start()
    arm.stop()


def test_what_is_not_started_says_so() -> None:
    arm = RemoteArm(SETTINGS)
    arm.stop()
    with pytest.raises(RunnerError, match="not started"):
        arm.command(np.zeros((1, 6), np.float32), 0.1)
    assert arm.pictures() == {}


@pytest.mark.slow
def test_the_connector_tells_the_watchdog_how_to_stop_an_arm_that_outlives_it(shared: RemoteArm) -> None:
    connector = SimConnector(SimSettings())
    assert connector.watch_handle() is None
    connector._started = shared
    assert connector.watch_handle() == {
        "function": "reflex_runner.simulation.speaking:stop_arm", "arguments": {"address": shared.address}
    }  # fmt: skip
    connector._started = None


def test_a_temporary_folder_with_a_path_too_long_for_a_socket_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(SetupError, match="too long for a socket; set TMPDIR"):
        RemoteArm(SETTINGS).start()
    assert list(deep.iterdir()) == []
