from __future__ import annotations

import json
from pathlib import Path

import pytest

from reflex_learning.default_policy.commands import reflex_json
from reflex_learning.default_policy.demonstrations import demonstrate, succeeded, validate
from reflex_learning.default_policy.recipe import Recipe
from reflex_learning.errors import TrainingError


@pytest.mark.slow
def test_the_script_is_recorded_as_a_dataset_that_keeps_its_rules(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    recipe = Recipe(episodes=2, picture_px=32)

    shown = demonstrate(recipe, tmp_path, reflex_json)
    checked = validate(Path(shown["dataset"]), reflex_json)

    assert (shown["episodes"], shown["succeeded"]) == (2, [0, 1])
    assert (checked["valid"], checked["warnings"]) == (True, 0)
    assert checked["frames"] > 60


def test_only_demonstrations_that_succeeded_count_and_there_must_be_some(tmp_path: Path) -> None:
    lines = [{"episode": 0, "success": True}, {"episode": 1, "success": False}, {"episode": 2, "success": True}]
    (tmp_path / "episodes.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    assert succeeded(tmp_path) == [0, 2]
    (tmp_path / "episodes.jsonl").write_text(json.dumps(lines[1]))
    with pytest.raises(TrainingError, match="no demonstration"):
        succeeded(tmp_path)


def test_demonstrations_in_several_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="2 recordings"):
        demonstrate(Recipe(), tmp_path, lambda *_: {"recordings": ["a", "b"], "played": 1})
