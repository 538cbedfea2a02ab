"""The trainer's environment is made once, finished when it was interrupted, and refused with what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from reflex.training.request import FAMILIES
from reflex_learning.errors import TrainingError
from reflex_learning.training import environment
from reflex_learning.training.environment import find_python, read_environment, set_up


class Programs:
    """What would be run; making an environment leaves its Python."""

    def __init__(self, folder: Path, fails: str = "never") -> None:
        self.folder = folder
        self.fails = fails
        self.said: list[str] = []

    def run(self, argv: Sequence[str]) -> int:
        self.said.append(" ".join(argv))
        if "venv" in argv:
            (self.folder / "bin").mkdir(exist_ok=True)
            (self.folder / "bin" / "python").symlink_to(sys.executable)
        return 1 if self.fails in self.said[-1] else 0


@pytest.fixture(autouse=True)
def with_pip_and_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    monkeypatch.setattr(environment, "SUITS", f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})")
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(environment, "GIGABYTES", {"cpu": 0.0, "cuda": 0.0})


def test_it_is_made_with_what_the_families_need(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    made = set_up(tmp_path, Path(sys.executable), "cpu", ["smolvla", "diffusion"], programs.run)

    assert (made.device, made.families) == ("cpu", ("act", "diffusion", "smolvla"))
    assert programs.said[1].endswith("lerobot[training,diffusion,smolvla,peft]==0.6.1")
    assert read_environment(tmp_path) == made


def test_one_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run this again"):
        set_up(tmp_path, Path(sys.executable), "cuda", FAMILIES, Programs(tmp_path, fails="install").run)
    with pytest.raises(TrainingError, match="reflex training setup"):
        read_environment(tmp_path)

    programs = Programs(tmp_path)
    made = set_up(tmp_path, Path(sys.executable), "cuda", FAMILIES, programs.run)
    assert made.families == FAMILIES
    assert not any("-m venv" in line for line in programs.said)


def test_uv_installs_torch_without_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    programs = Programs(tmp_path)
    set_up(tmp_path, Path(sys.executable), "cpu", ["act"], programs.run)

    assert "--torch-backend cpu lerobot[training]==0.6.1" in programs.said[1]


def test_without_room_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "GIGABYTES", {"cpu": 10.0**9})
    with pytest.raises(TrainingError, match="make room"):
        set_up(tmp_path / "new", Path(sys.executable), "cpu", ["act"], Programs(tmp_path).run)
    assert not (tmp_path / "new").exists()


def test_a_python_is_tried_before_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(shim) if name == "python3.12" else None)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(TrainingError, match="uv python install"):
        find_python()
    with pytest.raises(TrainingError, match=str(shim)):
        find_python(shim)
    assert find_python(Path(sys.executable)) == Path(sys.executable)


def test_a_record_that_is_none_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "reflex-trainer.json").write_text(json.dumps([]))
    with pytest.raises(TrainingError, match="no trainer"):
        read_environment(tmp_path)
