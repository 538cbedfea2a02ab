"""What is kept of an adapter that was merged: which one, and into which base model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.export_options import ExportOptions
from reflex.model_repository import CONFIG_FILE
from reflex.policy_config import MergedAdapterConfig, PolicyConfig, read_policy_config
from reflex_export.adapter_record import adapter_record
from reflex_export.checkpoint import Checkpoint, MergedAdapter
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from support.checkpoints.adapted import adapter_folder, edit_adapter, whole_folder
from support.checkpoints.golden import golden_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = golden_folder("pi0") / "model.safetensors"


class OneBaseHub:
    """Has the base model at one commit."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def files(self, repository: str, commit: str) -> list[str]:
        assert (repository, commit) == ("someone/base", COMMIT)
        return ["config.json", "model.safetensors"]

    def fetch(self, repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
        assert (repository, revision) == ("someone/base", None)
        assert "model.safetensors" in patterns
        return whole_folder(self.cache / COMMIT, "pi0")


def exported(checkpoint: Checkpoint, repository: Path) -> PolicyConfig:
    options = ExportOptions(repository, "arm", "so101", steps=(1,), check=False)
    return export_checkpoint(checkpoint, options).policies[0]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the policy `arm` of an adapter whose base model lies in a folder."""
    folder = tmp_path_factory.mktemp("private")
    exported(read_checkpoint(adapter_folder(folder / "adapter", "pi0")), folder / "models")
    return folder / "models"


def test_of_a_base_model_in_a_folder_the_name_and_the_hash_of_its_weights_are_kept(repository: Path) -> None:
    written = json.loads((repository / "arm" / CONFIG_FILE).read_text())["adapter"]
    values = json.loads((golden_folder("adapters/pi0") / "adapter_config.json").read_text())
    assert written == {
        "kind": "lora",
        "rank": values["r"],
        "alpha": values["lora_alpha"],
        "rank_stabilized": values["use_rslora"],
        "base": "pi0",
        "base_hash": "sha256:" + hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
    }


def test_of_one_on_the_hub_its_commit_says_which_weights_it_has(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter", "pi0")
    edit_adapter(folder, base_model_name_or_path="someone/base")
    found = adapter_record(read_checkpoint(folder, hub=OneBaseHub(tmp_path)).adapter, is_hashed=True)
    assert found is not None
    assert (found.base, found.base_hash) == (f"someone/base@{COMMIT}", None)


def test_weights_beside_their_adapter_are_its_base_model(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "beside", "pi0")
    (folder / "model.safetensors").symlink_to(WEIGHTS)
    merged, ignored = (read_checkpoint(folder, adapter=use).adapter for use in ("merge", "ignore"))
    assert (merged and merged.base, ignored) == ("beside", None)


def test_a_whole_policy_has_none(tmp_path: Path) -> None:
    assert exported(read_checkpoint(golden_folder("pi0")), tmp_path / "models").adapter is None


def test_the_hash_is_over_every_file_of_the_weights(tmp_path: Path) -> None:
    for name, content in (("a", b"index"), ("b", b"shard")):
        (tmp_path / name).write_bytes(content)
    files = tmp_path / "a", tmp_path / "b"
    adapter = MergedAdapter("dora", 4, 8.0, is_rank_stabilized=True, base="base", base_files=files)
    digest = hashlib.sha256(b"indexshard").hexdigest()
    assert adapter_record(adapter, is_hashed=True) == MergedAdapterConfig(
        kind="dora", rank=4, alpha=8.0, rank_stabilized=True, base="base", base_hash=f"sha256:{digest}"
    )


def test_what_was_exported_before_it_was_recorded_is_still_read(repository: Path, tmp_path: Path) -> None:
    written = json.loads((repository / "arm" / CONFIG_FILE).read_text())
    del written["adapter"]
    (tmp_path / CONFIG_FILE).write_text(json.dumps(written))
    now, before = read_policy_config(repository / "arm"), read_policy_config(tmp_path)
    assert before == now.model_copy(update={"adapter": None})


def test_inspect_shows_it_of_a_policy_and_of_a_checkpoint(repository: Path) -> None:
    told = [
        CliRunner().invoke(app, ["inspect", *map(str, arguments)]).output
        for arguments in ((repository / "arm",), (repository.parent / "adapter",), (golden_folder("pi0"),))
    ]
    policy, checkpoint, whole = ([row for row in text.splitlines() if row.startswith("adapter")] for text in told)
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert policy[0].endswith(f"merged into pi0 (sha256:{digest})")
    assert (checkpoint, whole) == ([policy[0].partition(" (sha256")[0]], [])
