from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from reflex_export.errors import SourceError
from reflex_export.reading import hugging_face
from reflex_export.reading.source import CHECKPOINT_FILES, HuggingFaceHub, is_hub_id, locate
from support.checkpoints.hub import COMMIT, FILES, StandInHub
from unit.reflex_export.reading.damage import EmptyHub


def test_a_folder_is_taken_as_it_is(tmp_path: Path, hub: EmptyHub) -> None:
    (tmp_path / "config.json").write_text("{}")
    found = locate(str(tmp_path), None, hub)
    assert (found.folder, found.name, found.revision) == (tmp_path, tmp_path.name, None)
    assert hub.asked == []


def test_a_hub_id_is_fetched_at_one_commit_without_pickles_or_training_state(
    stand_in: StandInHub, tmp_path: Path
) -> None:
    found = locate("owner/policy", None, HuggingFaceHub(tmp_path, stand_in.url))
    assert (found.name, found.revision) == ("owner/policy", COMMIT)
    present = {str(path.relative_to(found.folder)) for path in found.folder.rglob("*") if path.is_file()}
    assert present == {"config.json", "model.safetensors", "tokenizer/tokenizer.json"}
    assert found.unfetched == frozenset(FILES.keys() - present)


def test_without_a_network_the_cache_serves(stand_in: StandInHub, tmp_path: Path) -> None:
    fetched = locate("owner/policy", None, HuggingFaceHub(tmp_path, stand_in.url))
    assert locate("owner/policy", None, HuggingFaceHub(tmp_path, "http://127.0.0.1:9")) == replace(
        fetched, unfetched=None
    )


def test_a_hub_that_is_out_of_order_is_asked_once_and_not_waited_for(stand_in: StandInHub, tmp_path: Path) -> None:
    locate("owner/policy", None, HuggingFaceHub(tmp_path, stand_in.url))
    stand_in.is_out_of_order = True
    stand_in.asked.clear()

    assert HuggingFaceHub(tmp_path, stand_in.url).files("owner/policy", COMMIT) is None
    assert len(stand_in.asked) == 1


def test_without_a_network_and_cache_the_error_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="run `hf download owner/policy --revision v2 --local-dir FOLDER`"):
        locate("owner/policy", "v2", HuggingFaceHub(tmp_path, "http://127.0.0.1:9"))


def test_a_connection_that_drops_is_reported_as_such(stand_in: StandInHub, tmp_path: Path) -> None:
    stand_in.drops_connections = True
    with pytest.raises(SourceError, match="the hub cannot be reached"):
        locate("owner/policy", None, HuggingFaceHub(tmp_path, stand_in.url))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_cache_that_cannot_be_written_is_named_and_not_the_network(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number), "/cache/blobs")

    monkeypatch.setattr(hugging_face, "snapshot_download", full)
    with pytest.raises(SourceError, match=rf"cannot be kept at /cache/blobs \({os.strerror(number)}\); make room, or"):
        locate("owner/policy", None, HuggingFaceHub(tmp_path))


def test_a_gated_repository_says_how_to_get_in(stand_in: StandInHub, tmp_path: Path) -> None:
    stand_in.gated = True
    with pytest.raises(SourceError, match=r"licence to be accepted.*hf auth login"):
        locate("owner/policy", None, HuggingFaceHub(tmp_path, stand_in.url))


@pytest.mark.parametrize(("name", "revision"), [("owner/other", None), ("owner/policy", "missing")])
def test_what_the_hub_does_not_have_is_said(
    stand_in: StandInHub, tmp_path: Path, name: str, revision: str | None
) -> None:
    with pytest.raises(SourceError, match=f"the hub has no repository {name}"):
        locate(name, revision, HuggingFaceHub(tmp_path, stand_in.url))


def test_a_folder_has_no_revision(tmp_path: Path, hub: EmptyHub) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SourceError, match="leave the revision out"):
        locate(tmp_path, "main", hub)


def test_a_file_is_answered_with_its_folder(tmp_path: Path, hub: EmptyHub) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(SourceError, match="is a file; give the folder"):
        locate(tmp_path / "model.safetensors", None, hub)


def test_the_training_output_above_a_checkpoint_points_to_it(tmp_path: Path, hub: EmptyHub) -> None:
    (tmp_path / "pretrained_model").mkdir()
    (tmp_path / "pretrained_model/config.json").write_text("{}")
    with pytest.raises(SourceError, match=r"no config\.json; give .*pretrained_model"):
        locate(tmp_path, None, hub)


def test_an_adapter_may_leave_the_config_to_its_base_model(tmp_path: Path, hub: EmptyHub) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert locate(tmp_path, None, hub).folder == tmp_path


@pytest.mark.parametrize("name", ["./policy", "policy", "/no/such/folder", "a/b/c", "../policy", "owner/..", "",
                                  "x" * 300, "~nobody_of_this_machine/policy"])  # fmt: skip
def test_a_path_that_is_not_there_is_never_asked_of_the_hub(name: str, hub: EmptyHub) -> None:
    assert not is_hub_id(name)
    with pytest.raises(SourceError, match="does not exist" if name else "no config"):
        locate(name, None, hub)
    assert hub.asked == []


def test_what_is_fetched_is_json_and_safetensors_only() -> None:
    assert all(pattern.endswith((".json", ".safetensors")) for pattern in CHECKPOINT_FILES)
