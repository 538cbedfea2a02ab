"""LeRobot as its users have it, in an environment of its own, and the checkpoints that it runs itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_frontend.observation.observation import NoiseSource
from support.checkpoints.golden import golden_folder

__all__ = ["HORIZON", "INSIDE", "SEED", "TASK", "StockLeRobot", "actions_in", "copy_of_recorded", "write_noise"]

INSIDE: Final = Path(__file__).parent / "inside"
PLUGINS: Final = ("lerobot_robot_counting", "lerobot_env_counting")
PROGRAM_S: Final = 400.0
"""Of which a program takes half a minute on an idle machine, to import torch and transformers."""
SEED: Final = 7
HORIZON: Final = 10
NOISE_DIM: Final = 32
TASK: Final = "pick up the cube"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StockLeRobot:
    """Its interpreter, and a folder with what makes the robot and the simulation of these tests plugins of it."""

    python: Path
    plugins: Path

    def __post_init__(self) -> None:
        for name in PLUGINS:
            folder = self.plugins / f"{name}-0.dist-info"
            folder.mkdir(parents=True)
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")

    def run(self, program: str, *arguments: str | Path, cwd: Path) -> str:
        """One of the programs of `inside`, and what it printed; an `AssertionError` with that when it failed."""
        return self._run(str(INSIDE / program), *arguments, cwd=cwd)

    def run_module(self, module: str, *arguments: str, cwd: Path) -> str:
        """One of LeRobot's own commands, likewise."""
        return self._run("-m", module, *arguments, cwd=cwd)

    def _run(self, *arguments: str | Path, cwd: Path) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{self.plugins}{os.pathsep}{INSIDE}",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(self.plugins / "hub"),
            "OMP_NUM_THREADS": "1",
        }
        print(" ".join(map(str, arguments)), flush=True)
        done = subprocess.run(
            [self.python, *arguments],
            cwd=cwd, env=environment, capture_output=True, text=True, timeout=PROGRAM_S, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed[-6000:]
        return printed


def copy_of_recorded(family: str, folder: Path) -> Path:
    """A copy of the recorded checkpoint that LeRobot loads; its VLM looks for a processor of images, and uses none."""
    shutil.copytree(golden_folder(family), folder)
    if (folder / "vlm").is_dir():
        (folder / "vlm" / "preprocessor_config.json").write_text('{"image_processor_type": "SmolVLMImageProcessor"}')
    return folder


def write_noise(file: Path, draws: int) -> Path:
    """What the server draws for `SEED` and the seeds after it."""
    source, shape = NoiseSource(), (HORIZON, NOISE_DIM)
    noise = [np.frombuffer(source.draw(shape, SEED + number), np.float32).reshape(shape) for number in range(draws)]
    np.savez(file, noise=np.stack(noise))
    return file


def actions_in(file: Path) -> Array:
    """[steps, axes]: what a robot was sent."""
    rows: Sequence[Any] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return np.array(rows)
