from __future__ import annotations

from pathlib import Path

import pytest

from reflex_export.reading import read_checkpoint
from reflex_export.reading.leftover_files import unread_files
from support.checkpoints.golden import golden_folder


@pytest.mark.parametrize("name", ["act", "diffusion", "smolvla"])
def test_every_file_of_a_checkpoint_is_known(name: str) -> None:
    assert read_checkpoint(golden_folder(name)).warnings == tuple(
        f"{file} lies in the checkpoint's folder and is not read"
        for file in ("golden_meta.json",)
        if (golden_folder(name) / file).exists()
    )


def test_a_file_that_may_be_part_of_the_policy_is_named(tmp_path: Path) -> None:
    for name in (
        "value_head.safetensors",
        "norm_stats.json",
        "README.md",
        "config.json",
        "optimizer_state.safetensors",
    ):
        (tmp_path / name).touch()
    told = list(unread_files(tmp_path))
    assert [sentence.partition(" ")[0] for sentence in told] == ["norm_stats.json", "value_head.safetensors"]
