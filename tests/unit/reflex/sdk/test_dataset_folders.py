"""`reflex.convert_dataset`, `reflex.repair_dataset` and `reflex.dataset_stats`, as somebody's program calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

import reflex
from reflex.errors import ReflexError, SetupError
from reflex.sdk.dataset_folders import dataset_stats
from reflex_learning.validation.validating import validate
from support.datasets.defects import DEFECTS
from support.datasets.drafts import healthy
from support.datasets.version_2 import write_old


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A dataset with a NaN among the actions of its first episode."""
    return DEFECTS["finite"].make(tmp_path / "broken")


@pytest.mark.slow
def test_a_dataset_is_repaired_beside_and_what_was_dropped_is_told(broken: Path, tmp_path: Path) -> None:
    dry = reflex.repair_dataset(broken, tmp_path / "whole", dry_run=True)
    assert dry["out"] is None
    assert not (tmp_path / "whole").exists()

    told = reflex.repair_dataset(str(broken), str(tmp_path / "whole"))
    assert told["out"] == str(tmp_path / "whole")
    assert [each["episode"] for each in told["dropped"]] == [0]
    assert not validate(tmp_path / "whole").failed


@pytest.mark.slow
def test_the_statistics_are_those_of_the_data(broken: Path, tmp_path: Path) -> None:
    reflex.repair_dataset(broken, tmp_path / "whole")
    told = reflex.dataset_stats(tmp_path / "whole")

    assert {"min", "max", "mean", "std", "q01", "q99"} <= set(told["action"])


@pytest.mark.slow
def test_a_dataset_of_version_2_is_converted_beside(tmp_path: Path) -> None:
    reflex.convert_dataset(write_old(healthy("image"), tmp_path / "old"), tmp_path / "new")

    assert not validate(tmp_path / "new").failed


def test_what_is_no_dataset_of_version_2_is_not_converted(broken: Path, tmp_path: Path) -> None:
    with pytest.raises(ReflexError, match=r"3\.0"):
        reflex.convert_dataset(broken, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    monkeypatch.setattr("reflex.sdk.dataset_folders.importlib.import_module", missing)

    with pytest.raises(SetupError, match=r"needs the package pyarrow; run: .*pip install .*datasets"):
        dataset_stats(tmp_path)
