"""A recording of a run is a dataset of LeRobot's: its own loader iterates it, and its own trainer learns from it.

`make lerobot-test` makes the environment that it needs.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from stock_lerobot.stock import StockLeRobot
from support.run_recording.runs import HEIGHT, WIDTH, pose, recorded
from support.skips import skip_for_want_of


@pytest.fixture(scope="module")
def lerobot(tmp_path_factory: pytest.TempPathFactory) -> StockLeRobot:
    python = os.environ.get("STOCK_LEROBOT_PYTHON")
    if python is None:
        skip_for_want_of("LeRobot")
    return StockLeRobot(Path(python), tmp_path_factory.mktemp("plugins"))


@pytest.mark.parametrize("form", ["lerobot", "lerobot_png"])
def test_the_loader_gives_every_frame_and_a_network_learns_from_a_batch(
    lerobot: StockLeRobot, tmp_path: Path, form: str
) -> None:
    folder = recorded(tmp_path, [form], {30: True, 12: None, 75: False})
    lerobot.run("read_dataset.py", folder / "lerobot", tmp_path / "told.json", cwd=tmp_path)
    told = json.loads((tmp_path / "told.json").read_text())

    assert (told["episodes"], told["fps"], len(told["frames"])) == (3, 30, 31 + 13 + 76)
    assert told["gain"] > 0
    second = told["frames"][31:43]
    assert [frame["front"] for frame in second] == [50] * 5 + [55] * 5 + [60] * 2
    assert np.allclose([frame["action"] for frame in second], [pose(number, 0.25) for number in range(50, 62)])
    assert {frame["task"] for frame in told["frames"]} == {"pick up the cube"}


TRAINED_AS = (
    "--policy.type=act", "--policy.device=cpu", "--policy.push_to_hub=false", "--policy.chunk_size=8",
    "--policy.n_action_steps=8", "--policy.dim_model=64", "--policy.n_heads=4", "--policy.dim_feedforward=64",
    "--policy.pretrained_backbone_weights=null", "--dataset.repo_id=local/recording", "--env_eval_freq=0",
    "--batch_size=4", "--steps=2", "--save_freq=2", "--log_freq=1", "--num_workers=0", "--seed=1",
    "--wandb.enable=false",
)  # fmt: skip


def test_its_own_trainer_takes_steps_on_a_recording_and_saves_what_it_learnt(
    lerobot: StockLeRobot, tmp_path: Path
) -> None:
    folder = recorded(tmp_path, ["lerobot"], {30: True, 45: None})
    out = tmp_path / "trained"
    printed = lerobot.run_module(
        "lerobot.scripts.lerobot_train", f"--dataset.root={folder / 'lerobot'}", f"--output_dir={out}", *TRAINED_AS,
        cwd=tmp_path,
    )  # fmt: skip

    losses = [float(loss) for loss in re.findall(r"\bloss:([-0-9.einfa]+)", printed)]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    policy = out / "checkpoints" / "000002" / "pretrained_model"
    learnt = json.loads((policy / "config.json").read_text())
    assert learnt["input_features"]["observation.images.front"]["shape"] == [3, HEIGHT, WIDTH]
    assert learnt["output_features"]["action"]["shape"] == [6]
    assert (policy / "model.safetensors").stat().st_size > 1_000_000
