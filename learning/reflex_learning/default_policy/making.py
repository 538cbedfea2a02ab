"""From nothing to a policy that is measured: demonstrations, dataset, trainer, training, export, parity, evaluation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex_learning.default_policy.commands import Reflex, reflex_json, served
from reflex_learning.default_policy.demonstrations import demonstrate, validate
from reflex_learning.default_policy.recipe import Recipe
from reflex_learning.default_policy.stages import Stages
from reflex_learning.default_policy.training import Training
from reflex_learning.training.environment import find_python, set_up

__all__ = ["Making", "summary"]

EMBODIMENT: Final = "so101_sim"
DESCRIPTION: Final = (
    "Picks the cube of the simulator up: ACT, trained on demonstrations of the simulator's script. For the simulated "
    "arm alone: no real arm has its looks and its calibration."
)
ABLATIONS: Final = ("image=other", "state=other")
TRAINS: Final = "import lerobot.scripts.lerobot_train"


@dataclass(frozen=True, kw_only=True)
class Making:
    """`lerobot` is the trainer's environment, made when it is absent; `repository` gets the policy."""

    recipe: Recipe
    folder: Path
    repository: Path
    lerobot: Path
    say: Callable[[str], None]
    reflex: Reflex = reflex_json
    serve: Callable[[Path, str], AbstractContextManager[str]] = served

    def make(self) -> dict[str, Any]:
        """All of it, or what an earlier call left to do. `TrainingError` says what to do where it does not go on."""
        stages, recipe = Stages(self.folder, self.say), self.recipe
        stages.begin(recipe.as_json())
        shown = stages.done(
            "demonstrated", f"{recipe.episodes} demonstrations", lambda: demonstrate(recipe, self.folder, self.reflex)
        )
        dataset = Path(shown["dataset"])
        checked = stages.done("validated", "the dataset's rules", lambda: validate(dataset, self.reflex))
        python = self._trainer()
        trained = stages.done(
            "trained", f"{recipe.steps} steps of LeRobot's trainer",
            lambda: self._training(dataset, shown["succeeded"], python).train(recipe),
        )  # fmt: skip
        model = Path(os.path.relpath(trained["model"]))
        exported = stages.done("exported", f"export to {self.repository}", lambda: self._export(model))
        proven = stages.done("proven", "parity with the checkpoint", lambda: self._verify(model))
        evaluated = stages.done("evaluated", f"{recipe.evaluated} held-out seeds", self._evaluate)
        ablated = stages.done("ablated", f"{recipe.ablated} of them half-blind", self._ablate)
        return {
            "demonstrations": shown, "dataset": checked, "training": trained, "export": exported, "parity": proven,
            "evaluation": evaluated, "ablations": ablated,
        }  # fmt: skip

    def _training(self, dataset: Path, episodes: Sequence[int], python: Path) -> Training:
        return Training(folder=self.folder, dataset=dataset, episodes=episodes, python=python, say=self.say)

    def _trainer(self) -> Path:
        python = (self.lerobot / "bin" / "python").absolute()
        if not python.exists() or subprocess.run([python, "-c", TRAINS], capture_output=True, check=False).returncode:  # noqa: S603
            self.say(f"LeRobot's trainer is installed into {self.lerobot}, this once: 5.7 GB")
            set_up(self.lerobot, find_python(), "cpu", ["act"], _shown)
        return python

    def _export(self, model: Path) -> dict[str, Any]:
        told = self.reflex(
            "export", str(model), "--name", self.recipe.name, "--repository", str(self.repository), "--embodiment",
            EMBODIMENT, "--precision", "fp16", "--description", DESCRIPTION, "--replace",
        )  # fmt: skip
        return {"policyHash": told["policies"][0]["policy_hash"]}

    def _verify(self, model: Path) -> dict[str, Any]:
        told = self.reflex("verify", str(self.repository), "--policy", self.recipe.name, "--source", str(model))
        return {"verdict": told["verdict"]}

    def _evaluate(self) -> dict[str, Any]:
        """The rate over all held-out seeds."""
        with self.serve(self.repository, self.recipe.name) as url:
            told = self.reflex(
                "eval", *self._asked(url, self.recipe.evaluated), "--at-least", str(self.recipe.at_least)
            )
        return _rate(told)

    def _ablate(self) -> dict[str, Any]:
        """Over some of them, what it is worth to see and to feel."""
        blind = [word for each in ABLATIONS for word in ("--ablate", each)]
        with self.serve(self.repository, self.recipe.name) as url:
            told = self.reflex("eval", *self._asked(url, self.recipe.ablated), *blind)
        return {"whole": _rate(told), "without": [*map(_difference, told["ablations"])]}

    def _asked(self, url: str, episodes: int) -> Sequence[str]:
        seeds = f"{self.recipe.first_evaluated}:{self.recipe.first_evaluated + episodes}"
        return (
            "--url", url, "--seeds", seeds, "--picture-px", str(self.recipe.picture_px), "--instruction",
            self.recipe.instruction,
        )  # fmt: skip


def summary(made: Mapping[str, Any]) -> list[str]:
    """What it comes to, for people."""
    whole, seconds = made["evaluation"], sum(each["seconds"] for each in made.values())
    return [
        f"success {whole['successes']} of {whole['played']}, 95 % interval {_span(whole['interval'])}",
        *(f"without {each['without']}: {each['successes']} of {each['played']}" for each in
          made["ablations"]["without"]),
        f"in {seconds / 60:.0f} minutes, without what installing LeRobot took",
    ]  # fmt: skip


def _rate(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"successes": told["successes"], "played": told["played"], "interval": told["interval"]}


def _difference(told: Mapping[str, Any]) -> dict[str, Any]:
    return {**_rate(told["second"]), "without": told["second"]["without"], "difference": told["difference"]}


def _span(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _shown(argv: Sequence[str]) -> int:
    return subprocess.run(argv, stdout=sys.stderr, check=False).returncode  # noqa: S603
