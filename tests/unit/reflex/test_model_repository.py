from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import CONFIG_FILE, model_file, one_policy_of, policies_of, some_policies_of


def repository(folder: Path, *names: str) -> Path:
    """With policies of these names, and the model of one."""
    (folder / "place_encoder").mkdir()
    for name in names:
        (folder / name).mkdir()
        (folder / name / CONFIG_FILE).touch()
    return folder


def test_the_policies_of_a_repository_are_named_in_order_and_its_models_are_not(tmp_path: Path) -> None:
    assert policies_of(repository(tmp_path, "place", "grasp")) == ["grasp", "place"]
    assert some_policies_of(tmp_path) == ["grasp", "place"]


def test_a_model_has_one_version_and_its_graph_lies_there(tmp_path: Path) -> None:
    assert model_file(tmp_path, "place_encoder") == tmp_path / "place_encoder" / "1" / "model.onnx"


def test_what_is_no_folder_has_no_policies(tmp_path: Path) -> None:
    assert policies_of(tmp_path / "missing") == []


def test_the_only_policy_need_not_be_named(tmp_path: Path) -> None:
    assert one_policy_of(repository(tmp_path, "grasp")) == "grasp"


def test_which_of_several_is_meant_is_asked_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"several policies: choose with --policy one of grasp, place$"):
        one_policy_of(repository(tmp_path, "place", "grasp"))


def test_a_repository_without_a_policy_is_told_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"holds no policy; make one with `reflex export`"):
        one_policy_of(repository(tmp_path))
    with pytest.raises(RepositoryError, match=r"holds no policy; make one with `reflex export`"):
        some_policies_of(tmp_path)
