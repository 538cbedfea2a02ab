"""The simulated arm in the real loop: the expert picks the cube up, and a served policy moves the arm within limits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reflex.embodiments import load_embodiment
from reflex_runner.config import load_robot_config
from reflex_runner.config.robot_file import parse_robot_config
from reflex_runner.connectors.build import build_connector
from reflex_runner.connectors.sim import SimConnector
from reflex_runner.loop.run_session import run_session
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.motion.descent import StopCause
from reflex_runner.page.watching import watched
from reflex_runner.running.episodes import play_episodes, seeds_from
from reflex_runner.running.options import RunOptions
from reflex_runner.tick import Tick
from reflex_runner.transports.build import build_transport
from support.outside.drawing import skip_without_pictures
from support.server import running_server
from support.waiting import wait_until

EXAMPLE = Path(__file__).parents[3] / "examples" / "sim.yaml"
ARM = load_embodiment("so101_sim")
DONE = StopCause("done", "the cube is lifted", "end")


@pytest.fixture(autouse=True)
def pictures() -> None:
    skip_without_pictures()


def sim(**settings: object) -> SimConnector:
    connector = build_connector("sim", {"width": 48, "height": 48, **settings})
    assert isinstance(connector, SimConnector)
    return connector


def ended_when(condition: Callable[[], bool], stops: StopRequests) -> threading.Thread:
    def look() -> None:
        wait_until(condition, "what the run is for")
        stops.request(DONE)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_the_expert_picks_the_cube_up_in_the_loop_and_the_arm_is_laid_down() -> None:
    connector, stops = sim(seed=4), StopRequests()
    thread = ended_when(lambda: connector.has_lifted, stops)
    result = run_session(connector, connector.expert(), mode="apply_actions", robot=ARM, stops=stops)
    thread.join()

    assert connector.has_lifted
    assert result.ok, result.errors
    assert result.applied_steps == result.steps > 0


@pytest.mark.slow
def test_the_example_moves_the_arm_within_its_limits_by_the_served_demo_and_is_filmed(tmp_path: Path) -> None:
    config = load_robot_config(EXAMPLE)
    assert (config.hardware.kind, config.session.mode, config.target.kind) == ("sim", "apply_actions", "act")
    connector = sim(**config.hardware.settings)
    with (
        running_server("--policy", "sim_demo") as server,
        watched(ARM, mode=config.session.mode, frames=connector.frames, film=tmp_path / "run.mp4") as view,
    ):
        transport = build_transport("act", {"url": server.base_url, "timeout_s": 10.0}, control_hz=30)
        stops = StopRequests()
        thread = ended_when(lambda: view.applied_steps >= 45, stops)
        result = run_session(connector, transport, mode="apply_actions", robot=ARM, listeners=[view], stops=stops)
        thread.join()

    commands = np.array([tick.command for tick in view.ticks if tick.command is not None])
    assert result.ok, result.errors
    assert len(commands) >= 45
    assert (commands >= ARM.action_low).all()
    assert (commands <= ARM.action_high).all()
    assert (np.abs(np.diff(commands, axis=0)) <= np.array(ARM.action_max_step) + 1e-6).all()
    assert _travel(list(view.ticks)) > 3.0, "degrees: the arm moves"
    assert (tmp_path / "run.mp4").stat().st_size > 10_000


@pytest.mark.slow
def test_demonstrations_are_recorded_one_after_the_other_with_their_success(tmp_path: Path) -> None:
    config = parse_robot_config(
        {
            "session": {"mode": "apply_actions", "instruction": "pick up the cube"},
            "target": {"kind": "expert"},
            "hardware": {"kind": "sim", "realtime": False, "width": 32, "height": 32, "seed": 3},
            "recording": {"dir": str(tmp_path), "formats": ["lerobot_png"]},
        },
        tmp_path,
    )
    went = play_episodes(config, seeds_from(config, 2), RunOptions())
    assert went.errors == ()
    assert [(each.seed, each.success) for each in went.played] == [(3, True), (4, True)]
    (info,) = went.recordings[0].rglob("info.json")
    told = json.loads(info.read_text())
    assert told["total_frames"] == sum(each.result.steps for each in went.played)
    assert told["total_episodes"] == 2


def _travel(ticks: list[Tick]) -> float:
    measured = np.array([tick.measured for tick in ticks if tick.measured is not None])
    return float(np.ptp(measured[:, :5], axis=0).max())
