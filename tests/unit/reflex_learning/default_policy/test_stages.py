from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reflex_learning.default_policy.stages import Stages
from reflex_learning.errors import TrainingError


def test_what_was_done_is_done_once_and_what_was_interrupted_again(tmp_path: Path) -> None:
    said: list[str] = []
    calls: list[int] = []

    def work() -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {"number": 7}

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path, said.append).done("shown", "showing", work)
    first = Stages(tmp_path, said.append).done("shown", "showing", work)
    again = Stages(tmp_path, said.append).done("shown", "showing", work)

    assert len(calls) == 2
    assert first == again
    assert (first["number"], first["seconds"] >= 0) == (7, True)
    assert said[-1].startswith("showing: done before")


def test_a_folder_goes_on_with_its_own_recipe_alone(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "made", lambda _line: None)
    stages.begin({"steps": 3})
    stages.begin({"steps": 3})
    with pytest.raises(TrainingError, match="another folder with --folder"):
        stages.begin({"steps": 4})


def test_a_record_that_is_torn_is_named(tmp_path: Path) -> None:
    (tmp_path / "shown.json").write_text("{")
    with pytest.raises(TrainingError, match=r"shown\.json is no JSON: remove it"):
        Stages(tmp_path, lambda _line: None).done("shown", "showing", dict)
