from __future__ import annotations

from pathlib import Path

import pytest

from reflex_export.reading import read_checkpoint
from reflex_export.reading.leftover_files import unread_files
from support.checkpoints.adapted import adapter_folder, whole_folder
from support.checkpoints.golden import golden_folder
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.sizes import PiSizes


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


def test_settings_beside_an_adapter_that_is_read_with_its_base_models_are_named(tmp_path: Path) -> None:
    folder, base = adapter_folder(tmp_path / "adapter", "pi0"), whole_folder(tmp_path / "base", "pi0")
    (folder / "config.json").unlink()
    told = [sentence.partition(" ")[0] for sentence in read_checkpoint(folder, base=str(base)).warnings]
    assert told == [
        "golden_meta.json",
        "policy_postprocessor.json",
        "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
        "policy_preprocessor.json",
        "policy_preprocessor_step_6_normalizer_processor.safetensors",
        "golden_meta.json",
    ]


def test_what_an_adapter_reads_is_not_named(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter", "pi0")
    whole_folder(folder / "base", "pi0")
    (folder / "golden_meta.json").unlink()
    assert read_checkpoint(folder, base="base").warnings == ()


def test_of_shards_those_that_the_index_names_are_read(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "sharded", PiSizes(shards=3))
    assert read_checkpoint(folder).warnings == ()
    (folder / "model-00004-of-00004.safetensors").touch()
    assert [told.partition(" ")[0] for told in read_checkpoint(folder).warnings] == ["model-00004-of-00004.safetensors"]
