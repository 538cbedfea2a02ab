"""Of runs that have ended the model stays, as far as there is room; of one that may go on everything does."""

from __future__ import annotations

import os
from pathlib import Path

from reflex_learning.training.checkpoints import last_checkpoint, linked_checkpoint
from reflex_learning.training.keeping import KEPT_BYTES, begin, collect, settle
from support.trainer.packages.lerobot.files import save


def run(runs: Path, name: str, *steps: int) -> Path:
    """As a worker leaves it in the midst of its training."""
    folder = runs / name
    begin(folder)
    (folder / "log.txt").write_text("said\n")
    (folder / "cache").mkdir()
    config = {"output_dir": str(folder / "training"), "steps": 1000, "policy.type": "act", "batch_size": 8, "seed": 1}
    for step in steps:
        save(config, step, step, {})
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_of_an_ended_run_model_and_log_stay(tmp_path: Path) -> None:
    folder = run(tmp_path, "run_1", 50, 100)
    settle(folder)
    kept = files(folder)
    settle(folder)

    model = "training/checkpoints/000100/pretrained_model"
    wanted = {"ended", "log.txt", *(f"{model}/{name}.json" for name in ("config", "train_config"))}
    assert kept == files(folder) == {*wanted, f"{model}/model.safetensors"}
    assert linked_checkpoint(folder / "training") is not None
    assert not (folder / "cache").exists()


def test_of_one_that_was_cancelled_or_never_saved_the_log_stays(tmp_path: Path) -> None:
    settle(run(tmp_path, "run_1", 50), keeps_model=False)
    settle(run(tmp_path, "run_2"))

    assert files(tmp_path / "run_1") == files(tmp_path / "run_2") == {"ended", "log.txt"}


def test_what_may_go_on_is_not_touched(tmp_path: Path) -> None:
    folder = run(tmp_path, "run_1", 50, 100)
    before = files(folder)

    assert collect(tmp_path, 0, lambda _: False) == []
    assert files(folder) == before
    assert last_checkpoint(folder / "training") is not None


def test_what_has_ended_elsewhere_is_settled_once_that_is_known(tmp_path: Path) -> None:
    run(tmp_path, "run_1", 50), run(tmp_path, "run_2", 50)
    collect(tmp_path, KEPT_BYTES, lambda run_id: run_id == "run_1")

    assert (tmp_path / "run_1" / "ended").is_file()
    assert not (tmp_path / "run_2" / "ended").exists()


def test_beyond_the_room_the_oldest_go_and_never_the_newest(tmp_path: Path) -> None:
    for number in range(4):
        settle(run(tmp_path, f"run_{number}", 50))
        os.utime(tmp_path / f"run_{number}" / "ended", (number, number))
    size = sum(path.stat().st_size for path in (tmp_path / "run_3").rglob("*") if path.is_file())

    assert sorted(collect(tmp_path, 2 * size, lambda _: False)) == ["run_0", "run_1"]
    assert collect(tmp_path, 0, lambda _: False) == ["run_2"]
    assert collect(tmp_path, 0, lambda _: False) == []
    assert (tmp_path / "run_3" / "log.txt").is_file()


def test_a_run_that_is_begun_again_has_not_ended(tmp_path: Path) -> None:
    folder = run(tmp_path, "run_1", 50)
    settle(folder)
    begin(folder)

    assert collect(tmp_path, 0, lambda _: False) == []
    assert not (folder / "ended").exists()


def test_without_any_run_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert collect(tmp_path / "runs", 0, lambda _: True) == []
