from __future__ import annotations

import re
from pathlib import Path

import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import (
    CONFIG_FILE,
    model_file,
    one_policy_of,
    policies_of,
    policy_folder,
    some_policies_of,
)
from reflex.policy_config import read_policy_config


def repository(folder: Path, *names: str) -> Path:
    """With policies of these names, and the model of one."""
    (folder / "place_encoder").mkdir(parents=True)
    for name in names:
        (folder / name).mkdir()
        (folder / name / CONFIG_FILE).touch()
    return folder


@pytest.mark.parametrize("beside", [(), ("demo",), ("grasp",)])
def test_the_simulators_demo_is_meant_by_its_name_or_when_it_is_alone(beside: tuple[str, ...], tmp_path: Path) -> None:
    assert one_policy_of(repository(tmp_path, "sim_demo", *beside)) == (*beside, "sim_demo")[0]


def test_the_policy_that_was_trained_is_meant_by_its_name_alone(tmp_path: Path) -> None:
    assert one_policy_of(repository(tmp_path, "demo", "pick_up_the_cube", "sim_demo")) == "demo"
    with pytest.raises(SetupError, match="one of pick_up_the_cube, sim_demo"):
        one_policy_of(repository(tmp_path / "others", "pick_up_the_cube", "sim_demo"))


def test_who_must_choose_hears_of_the_simulators_demo_too(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="one of demo, grasp, sim_demo"):
        one_policy_of(repository(tmp_path, "demo", "grasp", "sim_demo"))


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


def test_a_policys_folder_and_a_checkpoint_are_told_from_a_repository(tmp_path: Path) -> None:
    grasp = repository(tmp_path, "grasp") / "grasp"
    with pytest.raises(RepositoryError, match=rf"is the policy grasp of {re.escape(str(tmp_path))}.* --policy grasp$"):
        one_policy_of(grasp)
    with pytest.raises(RepositoryError, match=r"is the policy grasp of "):
        read_policy_config(grasp / "grasp")
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "config.json").touch()
    (trained / "model.safetensors").touch()
    with pytest.raises(RepositoryError, match=r"is a checkpoint, .* `reflex export` first$"):
        one_policy_of(trained)


@pytest.mark.parametrize("name", ["../../x", "a/b", "/tmp", ".", "..", "", "a\0b"])
def test_a_policy_is_named_by_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="not by a path"):
        policy_folder(tmp_path, name)
    assert policy_folder(tmp_path, "grasp-v2.1") == tmp_path / "grasp-v2.1"
