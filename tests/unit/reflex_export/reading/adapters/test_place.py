from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from reflex_export.configs.vlm import parse_vlm_config
from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.adapters.place import AdapterPlace, find_adapter
from reflex_export.reading.source import in_folder
from support.checkpoints.adapted import adapter_folder, edit_adapter, whole_folder
from support.checkpoints.golden import golden_folder
from unit.reflex_export.reading.damage import EmptyHub, edit_json

BASE = golden_folder("smolvla")
CHANGED = "model.state_proj.weight"


class FullHub:
    """Has every repository, and all are the base model."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.listed: list[tuple[str, str]] = []

    def files(self, repository: str, commit: str) -> None:
        self.listed.append((repository, commit))

    def fetch(self, repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
        self.asked.append((repository, revision))
        assert {"config.json", "model.safetensors"} <= set(patterns)
        return BASE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return adapter_folder(tmp_path / "adapter", "smolvla")


@pytest.fixture
def beside(folder: Path) -> Path:
    """The adapter with the weights of its base model beside it."""
    shutil.copy(BASE / "model.safetensors", folder)
    return folder


def test_the_base_model_is_the_folder_that_the_adapter_names(folder: Path, hub: EmptyHub) -> None:
    assert find_adapter(in_folder(folder), use=None, base=None, hub=hub) == AdapterPlace(folder, in_folder(BASE))


def test_it_may_lie_where_the_adapter_lies(folder: Path, hub: EmptyHub) -> None:
    edit_adapter(folder, base_model_name_or_path="../base")
    (folder.parent / "base").mkdir()

    found = find_adapter(in_folder(folder), use=None, base=None, hub=hub)

    assert found is not None
    assert (found.base.folder, found.base.name) == (folder / "../base", "base")


def test_a_base_model_that_is_given_counts_more_than_the_one_that_is_named(folder: Path, hub: EmptyHub) -> None:
    edit_adapter(folder, base_model_name_or_path="someone/base")

    assert find_adapter(in_folder(folder), use=None, base=str(BASE), hub=hub) == AdapterPlace(folder, in_folder(BASE))
    assert not hub.asked


def test_a_base_model_on_the_hub_is_fetched_at_its_revision(folder: Path) -> None:
    hub = FullHub()
    edit_adapter(folder, base_model_name_or_path="someone/base", revision="v2")

    checkpoint = read_checkpoint(folder, hub=hub)
    read_checkpoint(folder, base="someone/other", hub=hub)

    assert hub.asked == [("someone/base", "v2"), ("someone/other", None)]
    assert hub.listed == [("someone/base", BASE.name), ("someone/other", BASE.name)]
    assert (checkpoint.tensors.load(CHANGED) != read_checkpoint(BASE).tensors.load(CHANGED)).any()


def test_a_base_model_that_cannot_be_had_is_named(folder: Path, hub: EmptyHub) -> None:
    edit_adapter(folder, base_model_name_or_path="someone/base")
    with pytest.raises(SourceError, match=r"holds an adapter of someone/base: run `hf download .* as --base"):
        read_checkpoint(folder, hub=hub)

    for name in ("/gone/base", "~nobody_of_this_machine/base", "x" * 300):
        edit_adapter(folder, base_model_name_or_path=name)
        with pytest.raises(SourceError, match=rf"an adapter of '{name[:100]}.*, which is not here; .* as --base"):
            read_checkpoint(folder, hub=hub)

    edit_adapter(folder, base_model_name_or_path=None)
    with pytest.raises(SourceError, match=r"does not name the adapter's base model; .* as --base"):
        read_checkpoint(folder, hub=hub)


def test_an_adapter_beside_weights_is_refused_until_it_is_said_what_they_are(beside: Path) -> None:
    edit_adapter(beside, base_model_name_or_path="someone/base")

    with pytest.raises(
        CheckpointError, match=r"adapter .of someone/base. beside .* --adapter merge .* --adapter ignore"
    ):
        read_checkpoint(beside)

    untuned, merged = (read_checkpoint(beside, adapter=use).tensors.load(CHANGED) for use in ("ignore", "merge"))
    assert (untuned == read_checkpoint(BASE).tensors.load(CHANGED)).all()
    assert (merged != untuned).any()


def test_a_base_model_that_is_given_is_taken_instead_of_weights_beside_the_adapter(beside: Path, hub: EmptyHub) -> None:
    assert find_adapter(in_folder(beside), use=None, base=str(BASE), hub=hub) == AdapterPlace(beside, in_folder(BASE))


def test_a_whole_policy_needs_no_flag_to_be_one(tmp_path: Path) -> None:
    folder = whole_folder(tmp_path / "merged", "smolvla")
    edit_json(folder / "config.json", lambda config: config.update(use_peft=True))

    assert read_checkpoint(folder).family == "smolvla"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"adapter": "merge"}, "holds no adapter .* leave --adapter out"),
        ({"base": "someone/base"}, "holds no adapter .* leave --base out"),
        ({"adapter": "ignore", "base": "x"}, "no use for --base x"),
    ],
)
def test_an_option_without_an_adapter_is_refused(options: dict[str, str], reason: str, hub: EmptyHub) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_checkpoint(BASE, hub=hub, **options)  # type: ignore[arg-type]


def test_an_adapter_alone_cannot_be_ignored(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"without its adapter nothing is left"):
        read_checkpoint(folder, adapter="ignore")


def test_files_that_are_missing_are_named(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(SourceError, match=r"in a pickle, which is never read"):
        read_checkpoint(folder)

    (folder / "adapter_model.bin").unlink()
    with pytest.raises(SourceError, match=rf"an adapter of {BASE} and lacks adapter_model.safetensors"):
        read_checkpoint(folder)

    shutil.copy(BASE / "model.safetensors", folder)
    with pytest.raises(CheckpointError, match=r"neither adapter_model.safetensors nor .* --adapter ignore"):
        read_checkpoint(folder)
    with pytest.raises(SourceError, match=r"lacks adapter_model.safetensors"):
        read_checkpoint(folder, base=str(BASE))


def test_an_adapter_whose_strength_is_unknown_is_refused(beside: Path) -> None:
    (beside / "adapter_config.json").unlink()

    with pytest.raises(SourceError, match=r"without adapter_config.json, .* or export the weights as they are"):
        read_checkpoint(beside)


def test_an_adapter_without_a_config_of_the_policy_takes_that_of_its_base_model(tmp_path: Path) -> None:
    for path in golden_folder("adapters/smolvla").glob("adapter_*"):
        shutil.copy(path, tmp_path)

    checkpoint = read_checkpoint(tmp_path, base=str(BASE))

    base = read_checkpoint(BASE)
    assert checkpoint.config == base.config
    assert checkpoint.source == tmp_path.name
    assert (checkpoint.state.statistics["mean"] == base.state.statistics["mean"]).all()


def test_the_statistics_of_the_base_model_are_never_taken_for_those_of_the_training(folder: Path) -> None:
    (folder / "policy_preprocessor.json").unlink()

    with pytest.raises(SourceError, match=r"unknown with which statistics"):
        read_checkpoint(folder)


def test_tokenizer_and_vlm_may_be_those_of_the_base_model(folder: Path, hub: EmptyHub) -> None:
    for name in ("tokenizer", "vlm"):
        shutil.rmtree(folder / name)

    checkpoint = read_checkpoint(folder, hub=hub)

    written = json.loads((BASE / "vlm/config.json").read_text())
    assert checkpoint.vlm_config == parse_vlm_config(written, "vlm/config.json")
    assert checkpoint.text == read_checkpoint(BASE).text
    assert not hub.asked


def test_a_base_model_with_an_adapter_of_its_own_is_refused(folder: Path, tmp_path: Path) -> None:
    base = adapter_folder(tmp_path / "base", "smolvla")

    with pytest.raises(CheckpointError, match=r"has an adapter too"):
        read_checkpoint(folder, base=str(base))
