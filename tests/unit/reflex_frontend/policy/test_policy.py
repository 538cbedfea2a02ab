"""Which model repositories may be served, and what is said of the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import CONFIG_FILE
from reflex_frontend.policy.policy import ServedPolicy, find_repository, load_policy

SHIPPED = find_repository(None)
PARTS = ("preprocess", "encoder", "denoise")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The shipped policy without its weights, free to be spoilt."""
    ignore = shutil.ignore_patterns("*.onnx")
    for folder in ("demo", *(f"demo_{part}" for part in PARTS)):
        shutil.copytree(SHIPPED / folder, tmp_path / folder, ignore=ignore)
    return tmp_path


def change_config(repository: Path, **changes: Any) -> None:
    path = repository / "demo" / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def problem(repository: Path, name: str | None = None) -> str:
    with pytest.raises(RepositoryError) as caught:
        load_policy(repository, name)
    return str(caught.value)


def spoil_canary(repository: Path, **changes: Any) -> None:
    path = repository / "demo" / "canary.npz"
    with np.load(path) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    content |= changes
    np.savez(path, **{name: array for name, array in content.items() if array is not None})


def test_the_shipped_policy_loads_with_a_canary_that_fits_its_inputs() -> None:
    policy: ServedPolicy = load_policy(SHIPPED, None)
    assert policy.config.policy_id == "demo"
    assert policy.canary is not None
    assert [tensor.name for tensor in policy.canary.inputs] == [tensor.name for tensor in policy.config.inputs]
    assert policy.canary.expected.shape == (policy.config.horizon, policy.config.action_dim)
    assert np.isfinite(policy.canary.expected).all()


@pytest.mark.parametrize(
    ("instances", "places"),
    [
        ("", 16),
        ("instance_group [ { count: 3 kind: KIND_CPU } ]", 48),
        ("instance_group [ { count: 2 gpus: [ 0, 1 ] } ]", 64),
        ("instance_group [ { }, { count: 5 passive: true } ]", 16),
    ],
)
def test_two_full_batches_for_each_instance_of_the_denoiser_may_be_in_flight(
    repository: Path, instances: str, places: int
) -> None:
    path = repository / "demo_denoise" / "config.pbtxt"
    path.write_text(path.read_text() + instances)
    policy = load_policy(repository, None)
    assert policy.max_in_flight(policy.instances) == places


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(SetupError, match="/nowhere: there is no such folder"):
        find_repository(Path("/nowhere"))


def test_an_empty_repository_says_how_a_policy_is_made(tmp_path: Path) -> None:
    assert "reflex export" in problem(tmp_path)


def test_several_policies_are_listed_for_the_choice(repository: Path) -> None:
    shutil.copytree(repository / "demo", repository / "other")
    with pytest.raises(SetupError, match="--policy one of demo, other"):
        load_policy(repository, None)
    assert load_policy(repository, "demo").config.policy_id == "demo"


def test_a_policy_that_is_not_there_is_refused(repository: Path) -> None:
    assert "absent" in problem(repository, "absent")


def test_a_folder_that_bears_another_name_is_refused(repository: Path) -> None:
    (repository / "demo").rename(repository / "renamed")
    assert "a policy's folder bears its name" in problem(repository)


@pytest.mark.parametrize("part", PARTS)
def test_a_component_of_another_export_is_refused_by_name(repository: Path, part: str) -> None:
    path = repository / f"demo_{part}" / "config.pbtxt"
    export_id = json.loads((repository / "demo" / CONFIG_FILE).read_text())["export_id"]
    path.write_text(path.read_text().replace(export_id, "another-export"))
    message = problem(repository)
    assert f"demo_{part} is from export another-export" in message
    assert "must not be mixed" in message


@pytest.mark.parametrize("content", [None, 'name: "demo_encoder"', "no { text format", "\udcff"])
def test_a_component_without_a_readable_configuration_is_refused(repository: Path, content: str | None) -> None:
    path = repository / "demo_encoder" / "config.pbtxt"
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    assert "export the policy again" in problem(repository)


@pytest.mark.parametrize(
    "changes", [{"state_dim": 7}, {"action_dim": 6, "action_space": None}, {"embodiment": "so101"}]
)
def test_a_policy_of_other_dimensions_than_its_embodiment_is_refused(repository: Path, changes: dict[str, Any]) -> None:
    change_config(repository, **changes)
    message = problem(repository)
    assert "--embodiment" in message
    assert json.loads((repository / "demo" / CONFIG_FILE).read_text())["embodiment"] in message


def test_an_unknown_embodiment_is_refused(repository: Path) -> None:
    change_config(repository, embodiment="octopus")
    with pytest.raises(SetupError, match="octopus"):
        load_policy(repository, None)


def test_a_missing_tokenizer_is_refused(repository: Path) -> None:
    (repository / "demo" / "tokenizer.json").unlink()
    assert "tokenizer" in problem(repository)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"expected.actions": None},
        {"expected.actions": np.zeros((3, 7), np.float32)},
        {"state": np.zeros(6, np.float64)},
        {"state": np.zeros(5, np.float32)},
        {"expected.actions": np.full((50, 7), np.nan, np.float32)},
    ],
    ids=["no state", "no answer", "wrong answer", "wrong type", "wrong shape", "not finite"],
)
def test_a_canary_that_does_not_fit_the_policy_is_refused(repository: Path, changes: dict[str, Any]) -> None:
    spoil_canary(repository, **changes)
    assert "is no canary of this policy" in problem(repository)


@pytest.mark.parametrize("kept_bytes", [None, 0, 10, 2_000])
def test_a_canary_that_is_missing_or_cut_is_refused(repository: Path, kept_bytes: int | None) -> None:
    path = repository / "demo" / "canary.npz"
    content = path.read_bytes()
    path.unlink()
    if kept_bytes is not None:
        path.write_bytes(content[:kept_bytes])
    assert "is no canary of this policy" in problem(repository)


def test_a_policy_may_have_no_canary(repository: Path) -> None:
    change_config(repository, canary=None)
    assert load_policy(repository, None).canary is None
