from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_export.checking.memory import available_bytes, check_bytes, require_memory
from reflex_export.families.family_graphs import build_graphs
from support.checkpoints.golden import golden_checkpoint


def test_a_check_that_does_not_fit_says_so_and_names_the_way_round() -> None:
    with pytest.raises(SetupError, match=r"needs about 26\.0 GiB of memory, and 22\.5 GiB are available.*--no-check"):
        require_memory(26 << 30, int(22.5 * 2**30))


@pytest.mark.parametrize("available", [26 << 30, 27 << 30, None], ids=["just enough", "more", "unknown"])
def test_a_check_that_fits_or_may_fit_begins(available: int | None) -> None:
    require_memory(26 << 30, available)


def test_the_kernel_is_asked_for_what_it_can_hand_out(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24000000 kB\nMemAvailable:   11000000 kB\nBuffers: 0 kB\n")

    absent = tmp_path / "absent"
    assert available_bytes(meminfo, absent) == 11_000_000 * 1024
    assert available_bytes(absent, absent) is None
    meminfo.write_text("MemTotal: 1 kB\n")
    assert available_bytes(meminfo, absent) is None


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """One of 11 GB, whose groups have no limit yet."""
    (tmp_path / "meminfo").write_text("MemAvailable:   11000000 kB\n")
    return tmp_path


def available(machine: Path, own: str) -> int | None:
    (machine / "own").write_text(f"4:pids:/elsewhere\n{own}\n")
    return available_bytes(machine / "meminfo", machine / "own", machine / "groups")


def limited(folder: Path, names: tuple[str, str], limit: str, used: int, stat: str) -> None:
    folder.mkdir(parents=True)
    for name, content in zip((*names, "memory.stat"), (limit, str(used), stat), strict=True):
        (folder / name).write_text(f"{content}\n")


VERSION_2, VERSION_1 = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")


@pytest.mark.parametrize(
    ("own", "folder", "names", "stat"),
    [
        ("0::/", "", VERSION_2, "inactive_file 100\nanon 7"),
        ("0::/pod/me", "pod", VERSION_2, "inactive_file 100"),
        ("0::/pod/me", "pod/me", VERSION_2, "inactive_file 100"),
        ("5:memory:/docker/me", "memory", VERSION_1, "total_inactive_file 100"),
        ("5:memory:/docker/me", "memory/docker/me", VERSION_1, "total_inactive_file 100"),
    ],
)
def test_a_container_has_what_its_limit_and_those_around_it_leave(
    machine: Path, own: str, folder: str, names: tuple[str, str], stat: str
) -> None:
    limited(machine / "groups" / folder, names, "5000", 3000, stat)
    assert available(machine, own) == 5000 - 3000 + 100


@pytest.mark.parametrize(("limit", "used"), [("max", 3000), ("9223372036854771712", 3000)])
def test_a_group_without_a_limit_has_what_the_machine_has(machine: Path, limit: str, used: int) -> None:
    limited(machine / "groups", VERSION_2, limit, used, "inactive_file 100")
    assert available(machine, "0::/") == 11_000_000 * 1024


def test_a_group_that_is_over_its_limit_has_nothing(machine: Path) -> None:
    limited(machine / "groups", VERSION_2, "1000", 3000, "inactive_file 100")
    assert available(machine, "0::/") == 0


def test_groups_that_cannot_be_read_change_nothing(machine: Path) -> None:
    assert available(machine, "0::/hidden/from/here") == 11_000_000 * 1024
    limited(machine / "groups", VERSION_2, "no number", 3000, "neither is this one")
    assert available(machine, "0::/") == 11_000_000 * 1024


def test_a_check_in_fp16_needs_twice_the_memory_for_its_weights_in_fp32_and_the_graphs_beside_it() -> None:
    checkpoint = golden_checkpoint("smolvla")
    graphs = {precision: build_graphs(checkpoint, (1,), precision) for precision in ("fp32", "fp16")}

    wide, half = check_bytes(graphs["fp32"], "fp32"), check_bytes(graphs["fp16"], "fp16")

    assert wide == pytest.approx(half, rel=0.25)
    assert wide > 2 * 4 * 400_000
