"""What a power cut could undo: each thing is on disk before the next one relies on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import RepositoryError, SetupError
from reflex_export.publishing.transaction import publish, recover, scratch_folder
from support.leftovers import leaves_no_descriptor

Events = list[tuple[str, str]]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Events:
    """What changes below `models` and what is waited for, in order; the scratch folder is called `scratch`."""
    seen: Events = []

    def named(path: str | Path) -> str:
        parts = ["scratch" if part.startswith(".reflex-export-") else part for part in Path(path).parts]
        return "/".join(parts[parts.index("models") :]) if "models" in parts else str(path)

    def watched(name: str, real: Callable[..., Any], which: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            seen.append((name, named(arguments[which])))
            return result

        return call

    monkeypatch.setattr(os, "rename", watched("rename", os.rename, 1))
    monkeypatch.setattr(os, "replace", watched("rename", os.replace, 1))
    monkeypatch.setattr(os, "unlink", watched("unlink", os.unlink, 0))
    sync = os.fsync

    def watched_sync(descriptor: int) -> None:
        sync(descriptor)
        seen.append(("sync", named(Path(f"/proc/self/fd/{descriptor}").readlink())))

    monkeypatch.setattr(os, "fsync", watched_sync)
    return seen


def staged_policy(scratch: Path, *names: str) -> Path:
    for name in names:
        (scratch / "staged" / name).mkdir(parents=True)
        (scratch / "staged" / name / "config.pbtxt").write_text("new")
    return scratch / "staged"


def test_everything_is_on_disk_before_the_journal_comes_and_again_before_it_goes(
    tmp_path: Path, events: Events
) -> None:
    models = tmp_path / "models"
    (models / "arm").mkdir(parents=True)
    with scratch_folder(models) as scratch:
        staged = staged_policy(scratch, "arm", "arm_encoder")
        events.clear()
        publish(["arm", "arm_encoder"], staged, models)
        done = list(events)

    tree = ["", "/arm", "/arm/config.pbtxt", "/arm_encoder", "/arm_encoder/config.pbtxt"]
    assert sorted(done[:5]) == [("sync", f"models/scratch/staged{part}") for part in tree]
    assert done[5:] == [
        ("sync", "models/scratch/.journal.json.partial"),
        ("rename", "models/scratch/journal.json"),
        ("sync", "models/scratch"),
        ("sync", "models"),
        ("rename", "models/scratch/retired/arm"),
        ("rename", "models/arm"),
        ("rename", "models/arm_encoder"),
        ("sync", "models"),
        ("sync", "models/scratch/staged"),
        ("sync", "models/scratch/retired"),
        ("unlink", "models/scratch/journal.json"),
        ("sync", "models/scratch"),
    ]


def test_what_an_undo_puts_back_is_on_disk_before_the_journal_goes(tmp_path: Path, events: Events) -> None:
    models = tmp_path / "models"
    (models / "arm").mkdir(parents=True)
    with scratch_folder(models) as scratch:
        staged = staged_policy(scratch, "arm")
        with pytest.raises(FileNotFoundError):
            publish(["arm", "never staged"], staged, models)
        done = events[-8:]

    assert done == [
        ("rename", "models/arm"),
        ("rename", "models/scratch/staged/arm"),
        ("rename", "models/arm"),
        ("sync", "models"),
        ("sync", "models/scratch/staged"),
        ("sync", "models/scratch/retired"),
        ("unlink", "models/scratch/journal.json"),
        ("sync", "models/scratch"),
    ]
    assert [path.name for path in models.iterdir()] == ["arm"]


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    def publish_once() -> None:
        with scratch_folder(tmp_path / "models") as scratch:
            publish(["arm"], staged_policy(scratch, "arm"), tmp_path / "models")

    publish_once()
    with leaves_no_descriptor():
        publish_once()


def test_a_repository_that_was_made_for_nothing_goes_again_and_one_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for models in (tmp_path / "there", tmp_path / "deep" / "made"):
        with pytest.raises(KeyError), scratch_folder(models):
            raise KeyError
    assert (tmp_path / "there").is_dir()
    assert not (tmp_path / "deep" / "made").exists()


def test_a_repository_that_was_made_stays_with_what_was_published(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "models") as scratch:
        publish(["arm"], staged_policy(scratch, "arm"), tmp_path / "models")
    assert (tmp_path / "models" / "arm" / "config.pbtxt").read_text() == "new"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["arm"]


def test_a_repository_that_cannot_be_made_is_a_matter_of_the_setup(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SetupError, match=r"--repository .*file/models cannot be made \(Not a directory\)"),
        scratch_folder(tmp_path / "file" / "models"),
    ):
        pass


def test_a_link_or_a_file_of_a_scratch_folders_name_is_let_be(tmp_path: Path) -> None:
    models, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    models.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("mine")
    (models / ".reflex-export-link").symlink_to(elsewhere)
    (models / ".reflex-export-file").write_text("mine")
    recover(models)
    assert (elsewhere / "kept").read_text() == "mine"
    assert sorted(path.name for path in models.iterdir()) == [".reflex-export-file", ".reflex-export-link"]


def test_a_lock_without_a_holder_is_tidied_up_even_alone(tmp_path: Path) -> None:
    (tmp_path / ".reflex-export.lock").touch()
    recover(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc"])
def test_a_journal_that_names_a_path_outside_is_damaged(tmp_path: Path, name: str) -> None:
    scratch = tmp_path / ".reflex-export-dead"
    scratch.mkdir()
    (scratch / "journal.json").write_text(f'{{"names": ["arm", "{name}"], "added": []}}')
    with pytest.raises(RepositoryError, match=r"damaged \(it names a path outside the repository\)") as refused:
        recover(tmp_path)
    assert f"from {scratch}/retired yourself and remove {scratch}" in str(refused.value)
