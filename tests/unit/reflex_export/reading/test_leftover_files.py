from __future__ import annotations

import re
from pathlib import Path

import pytest

from reflex_export.errors import CheckpointError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.leftover_files import unread_files
from reflex_export.reading.source import HuggingFaceHub, in_folder
from support.checkpoints.adapted import adapter_folder, whole_folder
from support.checkpoints.golden import golden_folder
from support.checkpoints.hub import COMMIT, StandInHub
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.sizes import PiSizes
from unit.reflex_export.reading.damage import CopyCheckpoint


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
    told = list(unread_files(in_folder(tmp_path)))
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


STRAY = {
    "nothing": (),
    "weights of other kinds": ("value_head.safetensors", "ema.pt", "onnx/policy.safetensors", "pytorch_model.bin"),
    "a shard": ("model-00001-of-00002.safetensors",),
    "another step's state": ("policy_preprocessor_step_9_clip.safetensors", "policy_extra_processor.json"),
    "statistics": ("norm_stats.json", "stats.json", "assets/arm/norm_stats.json", "assets/a/b/norm_stats.json"),
    "what is of no use": ("README.md", "optimizer_state.safetensors", "videos/a/b.safetensors", "tokenizer.json"),
    "an adapter": ("lora/adapter_model.safetensors",),
    "half of an adapter": ("adapter_model.bin",),
    "an adapter in a pickle": ("adapter_model.bin", "adapter_config.json"),
}


def told(source: str | Path, hub: HuggingFaceHub) -> str:
    """What is warned of or refused, but for where the folder lies."""
    try:
        return " | ".join(read_checkpoint(source, hub=hub).warnings)
    except CheckpointError as exc:
        return re.sub(r"/\S*/", "", str(exc)).replace(COMMIT, "checkpoint")


def serve(stand_in: StandInHub, folder: Path) -> None:
    stand_in.files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("stray", STRAY)
def test_of_a_repository_on_the_hub_the_same_is_said_as_of_a_folder(
    stray: str, stand_in: StandInHub, copy: CopyCheckpoint, tmp_path: Path
) -> None:
    folder = copy("act")
    for name in STRAY[stray]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    serve(stand_in, folder)
    hub = HuggingFaceHub(tmp_path / "cache", stand_in.url)
    of_folder, of_hub = told(folder, hub), told("owner/policy", hub)
    assert of_hub == of_folder
    assert bool(of_folder) == (stray not in ("nothing", "what is of no use"))


@pytest.mark.parametrize(("gone", "stray"), [("model.safetensors", "pytorch_model.bin"), ("config.json", "_METADATA")])
def test_so_is_what_stands_in_place_of_a_file_that_is_missing(
    gone: str, stray: str, stand_in: StandInHub, copy: CopyCheckpoint, tmp_path: Path
) -> None:
    folder = copy("act")
    (folder / gone).unlink()
    (folder / stray).write_text("{}")
    serve(stand_in, folder)
    hub = HuggingFaceHub(tmp_path / "cache", stand_in.url)
    assert told("owner/policy", hub) == told(folder, hub)


def test_a_base_model_on_the_hub_is_looked_at_where_its_settings_are_read(stand_in: StandInHub, tmp_path: Path) -> None:
    folder, base = adapter_folder(tmp_path / "adapter", "pi0"), whole_folder(tmp_path / "base", "pi0")
    for path in (*folder.glob("policy_*"), folder / "config.json", folder / "golden_meta.json"):
        path.unlink()
    (base / "value_head.pt").touch()
    serve(stand_in, base)
    hub = HuggingFaceHub(tmp_path / "cache", stand_in.url)
    warnings = read_checkpoint(folder, base="owner/policy", hub=hub).warnings
    assert [sentence.partition(" ")[0] for sentence in warnings] == ["golden_meta.json", "value_head.pt"]


def test_without_a_network_it_is_said_that_nothing_can_be_named(
    stand_in: StandInHub, copy: CopyCheckpoint, tmp_path: Path
) -> None:
    folder = copy("act")
    (folder / "ema.pt").touch()
    serve(stand_in, folder)
    told("owner/policy", HuggingFaceHub(tmp_path / "cache", stand_in.url))
    offline = told("owner/policy", HuggingFaceHub(tmp_path / "cache", "http://127.0.0.1:9"))
    assert offline.startswith("the hub cannot be asked which files owner/policy has besides those in the cache")
