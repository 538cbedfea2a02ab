"""Stock LeRobot drives its robots and simulations through a Reflex server as it does in its own process.

`make lerobot-test` makes the environment that it needs. Each program takes half a minute to import what it needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.export_options import ExportOptions
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from stock_lerobot.stock import SEED, TASK, StockLeRobot, actions_in, copy_of_recorded, write_noise
from support.server import running_server
from support.skips import skip_for_want_of

EQUAL: Final = 1e-4
STEPS: Final = 60
VIEWS: Final = {"smolvla": "camera1:48x64,camera2:64x64", "act": "top:64x96,wrist:64x96"}
SERVED: Final = ("--policy.image_encoding=png", f"--policy.seed={SEED}")
"""The pixels to the bit, and noise that is known."""


@dataclass(frozen=True)
class Served:
    """One checkpoint twice: as LeRobot loads it, and as a folder that asks a server which serves it."""

    own: Path
    folder: Path
    noise: Path

    @property
    def in_process(self) -> list[str]:
        """Arguments of `run.py` for the checkpoint in LeRobot's own process."""
        drawn = ["--noise", str(self.noise)] if self.own.name == "smolvla" else []
        return [*drawn, "--", f"--policy.path={self.own}"]

    @property
    def over_the_network(self) -> list[str]:
        return ["--", f"--policy.path={self.folder}", *SERVED]

    def rollout(self, log: Path) -> list[str]:
        robot = ["--robot.type=counting_arm", f"--robot.steps={STEPS}", f"--robot.views={VIEWS[self.own.name]}"]
        quiet = ["--return_to_initial_position=false", "--play_sounds=false"]
        return [*robot, f"--robot.log={log}", *quiet, f"--task={TASK}"]


@pytest.fixture(scope="module")
def lerobot(tmp_path_factory: pytest.TempPathFactory) -> StockLeRobot:
    python = os.environ.get("STOCK_LEROBOT_PYTHON")
    if python is None:
        skip_for_want_of("LeRobot")
    return StockLeRobot(Path(python), tmp_path_factory.mktemp("plugins"))


@contextmanager
def serving(own: Path, *options: str) -> Iterator[Served]:
    """The checkpoint of this folder, whose name is that of its family."""
    models, policy, noise = (own.with_name(name) for name in ("models", "policy", "noise.npz"))
    export_checkpoint(read_checkpoint(own), ExportOptions(models, own.name, embodiment="so101"))
    write_noise(noise, draws=2 * STEPS)
    with running_server("--model-repository", str(models), "--no-guard", *options) as server:
        written = CliRunner().invoke(app, ["lerobot-policy", server.base_url, "--out", str(policy)])
        assert written.exit_code == 0, written.output
        yield Served(own, policy, noise)


@pytest.fixture(scope="module")
def smolvla(lerobot: StockLeRobot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    own = copy_of_recorded("smolvla", tmp_path_factory.mktemp("of_smolvla") / "smolvla")
    with serving(own, "--rtc") as served:
        yield served


@pytest.fixture(scope="module")
def act(lerobot: StockLeRobot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """As LeRobot saves it. It cannot continue a chunk, in LeRobot as here."""
    own = tmp_path_factory.mktemp("of_act") / "act"
    lerobot.run("new_act.py", own, cwd=own.parent)
    with serving(own) as served:
        yield served


def largest_difference(what: str, one: Path, other: Path) -> float:
    mine, theirs = actions_in(one), actions_in(other)
    assert mine.shape == theirs.shape
    difference = float(np.abs(mine - theirs).max())
    print(f"{what}: {len(mine)} actions, largest difference {difference:.2g}")
    return difference


@pytest.mark.parametrize("family", ["smolvla", "act"])
def test_a_rollout_sends_the_robot_what_the_checkpoint_in_lerobots_own_process_sends(
    lerobot: StockLeRobot, family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    served: Served = request.getfixturevalue(family)
    lerobot.run("run.py", "rollout", *served.over_the_network, *served.rollout(tmp_path / "served"), cwd=tmp_path)
    lerobot.run("run.py", "rollout", *served.in_process, *served.rollout(tmp_path / "own"), cwd=served.own)

    what = f"rollout of {family}, sync"
    assert largest_difference(what, tmp_path / "served", tmp_path / "own") <= EQUAL
    assert len(actions_in(tmp_path / "served")) == STEPS


def test_an_evaluation_sends_the_simulation_what_the_checkpoint_in_lerobots_own_process_sends(
    lerobot: StockLeRobot, smolvla: Served, tmp_path: Path
) -> None:
    for name, policy, cwd in (("served", smolvla.over_the_network, tmp_path), ("own", smolvla.in_process, smolvla.own)):
        (tmp_path / name / "log").mkdir(parents=True)
        simulation = ["--env.type=counting", f"--env.log={tmp_path / name / 'log'}", "--seed=100"]
        batch = ["--eval.n_episodes=2", "--eval.batch_size=2", f"--output_dir={tmp_path / name / 'out'}"]
        lerobot.run("run.py", "eval", *policy, *simulation, *batch, cwd=cwd)

    for episode in ("100.jsonl", "101.jsonl"):
        paths = (tmp_path / name / "log" / episode for name in ("served", "own"))
        assert largest_difference(f"eval, episode {episode}", *paths) <= EQUAL


def test_real_time_chunking_continues_a_chunk_as_lerobots_own_does(
    lerobot: StockLeRobot, smolvla: Served, tmp_path: Path
) -> None:
    rtc = ["--inference.type=rtc", "--inference.rtc.execution_horizon=4", "--inference.queue_threshold=8", "--fps=20"]
    calls = ["--calls", str(tmp_path / "calls.npz")]
    asked = [*smolvla.over_the_network, *rtc, *smolvla.rollout(tmp_path / "log")]
    printed = lerobot.run("run.py", "rollout", *calls, *asked, cwd=tmp_path)
    lerobot.run("again.py", smolvla.own, tmp_path / "calls.npz", smolvla.noise, tmp_path / "again.npz", cwd=smolvla.own)

    assert "did not continue" not in printed
    assert len(actions_in(tmp_path / "log")) == STEPS
    continued = differences(tmp_path / "calls.npz", tmp_path / "again.npz", "continued")
    free = differences(tmp_path / "calls.npz", tmp_path / "again.npz", "free")
    print(f"rollout, rtc: {len(continued)} chunks that continue one, largest difference {max(continued):.2g}")
    print(f"rollout, rtc: from chunks that continue nothing at least {min(free):.2g}")
    assert len(continued) >= 10
    assert max(continued) <= EQUAL < min(free)


def differences(calls: Path, again: Path, kind: str) -> list[float]:
    """Of the calls that continue a chunk. One whose left-over LeRobot filled up with zeros is none: see the plugin."""
    with np.load(calls, allow_pickle=False) as asked, np.load(again, allow_pickle=False) as computed:
        lefts = {key.partition(".")[0]: asked[key] for key in asked if key.endswith(".left_over")}
        whole = [number for number, left in lefts.items() if left[-1].any()]
        return [float(np.abs(asked[f"{number}.chunk"] - computed[f"{number}.{kind}"]).max()) for number in whole]


def test_a_robot_is_not_connected_when_the_server_has_another_policy(
    lerobot: StockLeRobot, smolvla: Served, tmp_path: Path
) -> None:
    config = (smolvla.folder / "config.json").read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(
        config.replace('"shape": [\n        6\n', '"shape": [\n        7\n')
    )
    asked = ["--", f"--policy.path={tmp_path / 'other'}", *smolvla.rollout(tmp_path / "log")]

    with pytest.raises(AssertionError, match="6 state values instead of 7, 6 axes instead of 7") as failed:
        lerobot.run("run.py", "rollout", *asked, cwd=tmp_path)
    assert "Connecting robot" not in str(failed.value)
