"""How many cores this process may really use: its CPU affinity, cut by its control group's quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["default_threads", "usable_cores"]

CGROUP_ROOT = Path("/sys/fs/cgroup")


def default_threads(cores: int) -> int:
    """Threads for one model instance that leave a core to the frontend."""
    return max(1, cores - 1)


def usable_cores(*, cgroup_root: Path = CGROUP_ROOT, own_cgroup: Path = Path("/proc/self/cgroup")) -> int:
    """Whole cores, at least one; a quota of 1.5 cores counts as 1, since a second busy thread would be throttled."""
    cores = len(os.sched_getaffinity(0))
    for quota in _quotas(cgroup_root, own_cgroup):
        cores = min(cores, int(quota))
    return max(1, cores)


def _quotas(root: Path, own_cgroup: Path) -> Iterator[float]:
    """Every limit, in cores, from our own group up to the root; version 2 first, then version 1."""
    for folder in _group_folders(root, own_cgroup):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            yield int(words[0]) / int(words[1])
    quota, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        yield int(quota) / int(period)


def _group_folders(root: Path, own_cgroup: Path) -> list[Path]:
    for line in _read(own_cgroup).splitlines():
        if line.startswith("0::/"):
            group = PurePosixPath(line.removeprefix("0::/"))
            return [root / group, *(root / parent for parent in group.parents)]
    return [root]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
