from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reflex.training.request import problems
from reflex_learning.default_policy.recipe import Recipe, architecture, demonstrations_yaml, request_of
from reflex_learning.training.argv import start_arguments
from reflex_learning.training.settings import TrainerSettings
from reflex_runner.config import load_robot_config
from support.trainer.packages.lerobot.arguments import parse
from support.trainer.stub import dataset_in

RECIPE = Recipe()


def test_the_demonstrations_are_a_robot_yaml_of_the_simulated_arm_led_by_its_script(tmp_path: Path) -> None:
    (tmp_path / "robot.yaml").write_text(demonstrations_yaml(RECIPE))

    config = load_robot_config(tmp_path / "robot.yaml")

    assert (config.target.kind, config.hardware.kind, config.session.mode) == ("expert", "sim", "apply_actions")
    assert config.recording.formats == ("lerobot_png",)
    assert config.hardware.settings["faults"] == {"tremble_units": RECIPE.tremble_units}
    assert config.hardware.settings["width"] == RECIPE.picture_px


def test_no_demonstration_has_a_seed_of_the_evaluation() -> None:
    shown = range(RECIPE.first_seed, RECIPE.first_seed + RECIPE.episodes)
    held_out = range(RECIPE.first_evaluated, RECIPE.first_evaluated + RECIPE.evaluated)
    assert not set(shown) & set(held_out)


def test_the_request_keeps_every_bound_and_lerobot_takes_its_arguments(tmp_path: Path) -> None:
    settings = TrainerSettings(python=Path("python"), more=architecture([0, 2, 3]))

    read = parse(start_arguments(request_of(RECIPE), str(dataset_in(tmp_path)), tmp_path / "out", settings))

    assert problems(request_of(RECIPE)) == []
    assert (read["policy.type"], read["policy.dim_model"], read["policy.use_vae"]) == ("act", 128, False)
    assert (read["policy.optimizer_lr"], read["seed"], read["steps"]) == (2e-4, 1, RECIPE.steps)
    assert "use_amp" not in str(read)


def test_a_try_of_a_few_steps_keeps_the_bounds_too() -> None:
    assert problems(request_of(replace(RECIPE, steps=6))) == []
