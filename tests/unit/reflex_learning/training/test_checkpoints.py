"""A run goes on only at a checkpoint that is whole, whatever a kill or a power cut left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reflex_learning.training.checkpoints import (
    clear_for_resume,
    keep_model_of,
    last_checkpoint,
    last_models,
    linked_checkpoint,
    prune,
)
from support.trainer.packages.lerobot.files import save


def written(output: Path, *steps: int) -> Path:
    for step in steps:
        save(
            {"output_dir": str(output), "steps": 1000, "policy.type": "act", "batch_size": 8, "seed": 1}, step, step, {}
        )
    return output


def cut(name: str) -> Callable[[Path], None]:
    def shorten(folder: Path) -> None:
        file = folder / name
        file.write_bytes(file.read_bytes()[:-1])

    return shorten


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


DAMAGES = [
    cut("training_state/optimizer_state.safetensors"),
    cut("pretrained_model/model.safetensors"),
    cut("training_state/training_step.json"),
    cut("pretrained_model/train_config.json"),
    remove("training_state/rng_state.safetensors"),
    remove("pretrained_model/model.safetensors"),
    remove("training_state/training_step.json"),
    lambda folder: (folder / "training_state/rng_state.safetensors").write_bytes(b"\xff" * 64),
    lambda folder: (folder / "training_state/training_step.json").write_text("{}"),
]


def step_of(output: Path) -> int | None:
    newest = last_checkpoint(output)
    return None if newest is None else newest.step


def test_the_newest_is_found(tmp_path: Path) -> None:
    assert step_of(tmp_path) is None
    assert step_of(written(tmp_path, 50, 100)) == 100


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(written(tmp_path, 50, 100) / "checkpoints" / "000100")

    assert step_of(tmp_path) == 50
    cleared = clear_for_resume(tmp_path)
    assert cleared is not None
    assert cleared.step == 50
    assert not (tmp_path / "checkpoints" / "000100").exists()
    assert (tmp_path / "checkpoints" / "last").resolve().name == "000050"


def test_one_to_which_no_link_points_yet_is_not_trusted(tmp_path: Path) -> None:
    written(tmp_path, 50)
    shutil.copytree(tmp_path / "checkpoints" / "000050", tmp_path / "checkpoints" / "000100")
    step = tmp_path / "checkpoints" / "000100" / "training_state" / "training_step.json"
    step.write_text(json.dumps({"step": 100}))

    assert step_of(tmp_path) == 50


def test_a_kill_while_the_link_was_being_replaced_costs_nothing(tmp_path: Path) -> None:
    (written(tmp_path, 50, 100) / "checkpoints" / "last").unlink()

    assert step_of(tmp_path) == 100
    assert clear_for_resume(tmp_path) is not None
    assert (tmp_path / "checkpoints" / "last").resolve().name == "000100"


def test_a_first_one_without_a_link_begins_anew(tmp_path: Path) -> None:
    output = tmp_path / "out"
    (written(output, 50) / "checkpoints" / "last").unlink()

    assert clear_for_resume(output) is None
    assert not output.exists()


def test_of_many_the_two_newest_are_kept(tmp_path: Path) -> None:
    prune(written(tmp_path, 50, 100, 150, 200), 2)

    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["000150", "000200", "last"]


def test_of_an_ended_run_the_model_of_the_last_one_stays_and_is_found_again(tmp_path: Path) -> None:
    last = last_checkpoint(written(tmp_path, 50, 100))
    assert last is not None
    keep_model_of(last)
    keep_model_of(last)

    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["000100", "last"]
    assert [path.name for path in last.folder.iterdir()] == ["pretrained_model"]
    assert last_checkpoint(tmp_path) is None
    assert linked_checkpoint(tmp_path) == last


def test_a_link_to_what_is_not_whole_is_none(tmp_path: Path) -> None:
    assert linked_checkpoint(tmp_path) is None
    written(tmp_path, 50)
    cut("pretrained_model/model.safetensors")(tmp_path / "checkpoints" / "000050")
    assert linked_checkpoint(tmp_path) is None


def test_the_newest_models_are_told_in_their_order_and_none_that_is_not_whole(tmp_path: Path) -> None:
    output = written(tmp_path, 50, 100, 150, 200)
    (output / "checkpoints" / "000150" / "training_state" / "training_step.json").unlink()

    told = last_models(output, 2)

    assert [each.relative_to(output).parts[1:] for each in told] == [
        ("000100", "pretrained_model"), ("000200", "pretrained_model"),
    ]  # fmt: skip
