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

    assert available_bytes(meminfo) == 11_000_000 * 1024
    assert available_bytes(tmp_path / "absent") is None
    meminfo.write_text("MemTotal: 1 kB\n")
    assert available_bytes(meminfo) is None


def test_a_check_in_fp16_needs_twice_the_memory_for_its_weights_in_fp32_and_the_graphs_beside_it() -> None:
    checkpoint = golden_checkpoint("smolvla")
    graphs = {precision: build_graphs(checkpoint, (1,), precision) for precision in ("fp32", "fp16")}

    wide, half = check_bytes(graphs["fp32"], "fp32"), check_bytes(graphs["fp16"], "fp16")

    assert wide == pytest.approx(half, rel=0.25)
    assert wide > 2 * 4 * 400_000
