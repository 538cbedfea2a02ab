"""What a disk refuses is one sentence with the place; what is no disk's is left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_export.commands.disk import disk_faults_told, reason_of


def test_a_write_that_does_not_say_where_it_was_is_told_with_both_places(tmp_path: Path) -> None:
    said = rf"^{tmp_path}, or the folder for temporary files .* cannot be written or read \(No space left on device\)"
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    with full, pytest.raises(SetupError, match=said), disk_faults_told(tmp_path):
        full.write(b"x")


def test_a_place_that_is_known_is_named_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = rf"^{tmp_path}/file/under cannot be written or read \(Not a directory\); mend that, and try again$"
    with pytest.raises(SetupError, match=said), disk_faults_told(tmp_path):
        (tmp_path / "file" / "under").touch()


def test_who_reads_no_more_is_no_disk(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), disk_faults_told(tmp_path):
        raise BrokenPipeError


def test_of_a_folder_that_is_copied_the_first_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(shutil.Error) as several:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    assert "No such file" in reason_of(several.value)
    assert reason_of(OSError("no words of the system's")) == "no words of the system's"
