"""Data lie where the user's programs keep what lasts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.cli.training.places import data_folder, trainer_folder


@pytest.mark.parametrize(
    ("given", "folder"),
    [("/data", Path("/data")), ("", Path.home() / ".local/share"), ("x", Path.home() / ".local/share")],
)
def test_it_is_the_xdg_folder(given: str, folder: Path) -> None:
    assert data_folder({"XDG_DATA_HOME": given}) == folder / "reflex" / "training"
    assert trainer_folder({"XDG_DATA_HOME": given}) == folder / "reflex" / "training" / "trainer"
