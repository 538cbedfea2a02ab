from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.policy.shipped import copy_shipped, shipped_repository


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below; None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def test_the_copy_is_whole_and_can_be_served(tmp_path: Path) -> None:
    copy_shipped(tmp_path / "deep" / "models", replace=False)

    assert contents(tmp_path / "deep" / "models") == contents(shipped_repository())
    assert load_policy(tmp_path / "deep" / "models", None).config.policy_id == "demo"


def test_a_folder_of_other_policies_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "cup").mkdir()

    copy_shipped(tmp_path, replace=False)

    assert (tmp_path / "cup").is_dir()
    assert (tmp_path / "demo").is_dir()


def test_what_bears_the_same_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()

    with pytest.raises(SetupError, match="holds demo already; pass --replace"):
        copy_shipped(tmp_path, replace=False)
    assert contents(tmp_path) == {"demo": None}


def test_a_copy_that_was_cut_short_is_made_whole_with_replace(tmp_path: Path) -> None:
    copy_shipped(tmp_path, replace=False)
    shutil.rmtree(tmp_path / "demo_encoder")
    (tmp_path / "demo" / "reflex_config.json").write_bytes(b"{")

    copy_shipped(tmp_path, replace=True)

    assert contents(tmp_path) == contents(shipped_repository())


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SetupError, match=r"cannot be copied to .*file/models"):
        copy_shipped(tmp_path / "file" / "models", replace=False)


def test_a_mounted_volume_keeps_its_own_mode_which_we_may_not_change(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    copy_shipped(tmp_path, replace=False)

    assert tmp_path.stat().st_mode & 0o777 == 0o777
