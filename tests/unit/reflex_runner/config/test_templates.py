"""Each file to begin with can be read, moves nothing, and explains itself; nobody's own file is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_runner.config import load_robot_config
from reflex_runner.config.templates import TEMPLATES, template, write_template


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_is_a_robot_of_its_kind_that_does_not_move(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "robot.yaml"
    write_template(kind, path)
    config = load_robot_config(path, {})
    assert (config.hardware.kind, config.session.mode) == (kind, "dry_run")
    assert config.recording.dir == tmp_path / "recordings"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_what_is_commented_out_can_be_read_as_well(tmp_path: Path, kind: str) -> None:
    lines = [line.replace("# ", "", 1) if line.startswith("  # ") else line for line in template(kind).splitlines()]
    (tmp_path / "robot.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert load_robot_config(tmp_path / "robot.yaml", {}).session.deployment_id == "deploy_..."


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SetupError, match="is there already"):
        write_template("sim", path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_kind_without_a_template_and_a_folder_that_is_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no template for 'ur5'; take one of sim, so101, subprocess"):
        template("ur5")
    with pytest.raises(SetupError, match="cannot be written: No such file"):
        write_template("sim", tmp_path / "none" / "robot.yaml")
