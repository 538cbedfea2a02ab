"""Whether this machine can run what has been built, asked before it tries: the kernel's answer to no is a kill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex_export.families.common import FamilyGraphs, Precision
from reflex_export.graph.onnx_model import OnnxModel

__all__ = ["available_bytes", "check_bytes", "require_memory"]

MEMINFO: Final = Path("/proc/meminfo")
OWN_GROUPS: Final = Path("/proc/self/cgroup")
GROUPS: Final = Path("/sys/fs/cgroup")
GROUP_FILES: Final = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit, what is in use, and what of that the kernel can drop: of cgroups of version 2, and of version 1."""
COPIES: Final[dict[Precision, int]] = {"fp32": 2, "fp16": 4}
"""Of the weights while a check runs: ONNX Runtime keeps them once more, arranged for the processor. On a CPU it
computes FP16 in FP32, twice as large, and the FP32 graphs that it is compared with lie beside it."""


def check_bytes(graphs: FamilyGraphs, precision: Precision) -> int:
    """What running the graphs of an export may need."""
    return COPIES[precision] * _stored_bytes([graphs.preprocess, graphs.encoder, *graphs.denoise.values()])


def available_bytes(meminfo: Path = MEMINFO, own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> int | None:
    """What the kernel can hand out without swapping, to a container up to its limit; None where it does not say."""
    known = [_of_machine(meminfo), *(_of_group(folder) for folder in _groups(own_groups, groups))]
    return min((found for found in known if found is not None), default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def require_memory(needed: int, available: int | None) -> None:
    """`SetupError` when a check would need more bytes than there are."""
    if available is not None and available < needed:
        raise SetupError(
            f"checking the graphs means running them, which needs about {needed / 2**30:.1f} GiB of memory, and "
            f"{available / 2**30:.1f} GiB are available; do it where there is more, in a container with a higher "
            "limit, or export with --no-check, which publishes them without having run them"
        )


def _groups(own_groups: Path, groups: Path) -> Iterator[Path]:
    """The folders of this process's cgroup and of all around it, of both versions; each may have a limit."""
    try:
        lines = own_groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "memory"}:
            root = groups / controllers
            own = root / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder == root or root in folder.parents)


def _of_group(folder: Path) -> int | None:
    """None without a limit, or where its files are not there: a container's own path is often hidden from it."""
    for limit, used, droppable in GROUP_FILES:
        try:
            stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            most, now = (int((folder / name).read_text(encoding="ascii")) for name in (limit, used))
        except (OSError, ValueError):  # the limit may be the word `max`
            continue
        return max(0, most - now + int(stat.get(droppable, 0)))
    return None


def _stored_bytes(models: Iterable[OnnxModel]) -> int:
    return sum(len(model.content) + model.data_bytes for model in models)
