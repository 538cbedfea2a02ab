from __future__ import annotations

import os
from pathlib import Path

import pytest

from reflex_frontend.embedded.cores import default_threads, usable_cores

HAS = len(os.sched_getaffinity(0))


def _cores(root: Path, own: str = "0::/\n") -> int:
    (root / "own").write_text(own)
    return usable_cores(cgroup_root=root, own_cgroup=root / "own")


def test_without_a_quota_all_allowed_cores_count(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert _cores(tmp_path) == HAS


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("150000", 1), ("50000", 1), ("99900000", HAS)])
def test_a_quota_of_version_2_limits(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    assert _cores(tmp_path) == cores


def test_a_quota_of_a_parent_group_limits(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text("100000 100000\n")
    assert _cores(tmp_path, "0::/a/b\n") == 1


def test_a_quota_of_version_1_limits(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert _cores(tmp_path, "4:cpu:/x\n") == 1


def test_a_model_leaves_one_core_to_the_frontend() -> None:
    assert [default_threads(cores) for cores in (1, 2, 8)] == [1, 1, 7]
