"""All that decides what the shipped policy becomes: demonstrations, network, training, and what it is held to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from reflex.training.request import TrainingRequest

__all__ = ["Recipe", "architecture", "demonstrations_yaml", "request_of"]

SMALL_ACT: Final = {
    "dim_model": 128, "n_heads": 4, "dim_feedforward": 512, "n_encoder_layers": 2, "n_decoder_layers": 1,
    "use_vae": "false", "dropout": 0.0, "chunk_size": 16, "n_action_steps": 16,
}  # fmt: skip
"""Of LeRobot's ACT: what a laptop trains in half an hour. Its picture encoder, a ResNet-18, has no smaller sister."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The numbers as they are for the policy that ships; other ones make another policy."""

    name: str = "pick_up_the_cube"
    instruction: str = "pick up the cube"
    episodes: int = 520
    """Demonstrations; those in which the script fails, one of 25, are not trained on."""
    first_seed: int = 100_000
    """Far from those of evaluations, which begin at 10000."""
    demonstration_steps: int = 160
    tremble_units: float = 3.0
    """How far the arm strays, for what nobody strays from nobody learns to get back to."""
    picture_px: int = 64
    steps: int = 1250
    batch_size: int = 32
    save_every: int = 250
    learning_rate: float = 2e-4
    averaged: int = 3
    """The weights are the mean of so many checkpoints, the last: LeRobot's ACT has no schedule, and at one rate to the
    end they tremble. Of 24 seeds that no figure is of, the mean of three picked up 24, that of two 23."""
    seed: int = 1
    evaluated: int = 200
    ablated: int = 25
    """Held-out seeds that are played again with the picture, and with the state, of another episode."""
    first_evaluated: int = 10_000
    at_least: float = 0.9

    def as_json(self) -> dict[str, Any]:
        """What a folder remembers, so that no other recipe goes on in it."""
        return asdict(self)


def demonstrations_yaml(recipe: Recipe) -> str:
    """The `robot.yaml` of the demonstrations: the simulated arm, led by its script. Every JSON is YAML."""
    told = {
        "session": {
            "mode": "apply_actions",
            "instruction": recipe.instruction,
            "max_steps": recipe.demonstration_steps,
        },
        "target": {"kind": "expert"},
        "hardware": {
            "kind": "sim", "realtime": False, "seed": recipe.first_seed, "cameras": {"front": "front"},
            "width": recipe.picture_px, "height": recipe.picture_px, "faults": {"tremble_units": recipe.tremble_units},
        },
        "recording": {"dir": "recordings", "formats": ["lerobot_png"]},
    }  # fmt: skip
    return f"{json.dumps(told, indent=1)}\n"


def request_of(recipe: Recipe) -> TrainingRequest:
    """What the worker is asked to train."""
    return TrainingRequest(
        dataset_id="demonstrations", base="act", steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed,
        save_every=min(recipe.save_every, recipe.steps), learning_rate=recipe.learning_rate, name=recipe.name,
    )  # fmt: skip


def architecture(episodes: Sequence[int]) -> tuple[str, ...]:
    """LeRobot's arguments for the small ACT, and for the episodes that it learns from."""
    return (
        *(f"--policy.{name}={value}" for name, value in SMALL_ACT.items()),
        f"--dataset.episodes={json.dumps(list(episodes))}",
    )
