"""Files that the SDK takes: JSON and YAML, read strictly, and a word for everything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docs.documents import REPOSITORY
from reflex.errors import ReflexError, SetupError
from reflex.sdk.files import read_deployment_spec, read_mapping, read_policy, read_schema


def written(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spec.json", '\ufeff{"name": "a",\t"model_id": "model_1", "spec": {"x": [1, 2]}}'),
        ("spec.yaml", "name: a\nmodel_id: model_1\nspec: {x: [1, 2]}\n"),
        ("spec.yml", '{"name": "a", "model_id": "model_1", "spec": {"x": [1, 2]}}'),
        ("spec", "name: a\nmodel_id: model_1\nspec:\n  x: [1, 2]\n"),
    ],
)
def test_json_and_yaml_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read_deployment_spec(written(tmp_path, text, name)) == {
        "name": "a", "model_id": "model_1", "spec": {"x": [1, 2]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nmodel_id: m\nmodle: x\n", "modle is no key of a deployment; it takes name, model_id"),
        ("name: a\nmodelId: m\n", "modelId is no key"),
        ("name: a\n", "does not say model_id"),
        ("mode: dry_run\n", "does not say name and model_id"),
        ("name: a\nmodel_id:\n", "does not say model_id"),
    ],
)
def test_a_spec_that_is_none_is_told_by_its_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SetupError, match=says):
        read_deployment_spec(written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '{"a": 1, "a": 2}', "'a' is given twice"),
        ("a.json", '{"b": {"a": 1, "a": 2}}', "'a' is given twice"),
        ("a.yaml", "a: 1\nb: 2\na: 3\n", "'a' is given twice"),
        ("a.json", "{", "cannot be read as JSON or YAML"),
        ("a.yaml", "a: [1", "cannot be read as JSON or YAML"),
        ("a.yaml", "a: !!python/object/apply:os.system ['true']", "cannot be read as JSON or YAML"),
        ("a.yaml", "- a\n", "holds no mapping"),
        ("a.yaml", "", "holds no mapping"),
        ("a.yaml", "1: a\n", "holds no mapping"),
        ("a.json", "[" * 100_000, "cannot be read as JSON or YAML"),
        ("a.yaml", "a: " + "x" * 2**20, "is longer than 1024 KiB"),
    ],
)
def test_what_is_no_mapping_is_refused_with_the_reason(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(SetupError, match=says) as refused:
        read_mapping(path)
    assert str(refused.value).startswith(str(path))


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("none.yaml", "bytes.yaml", ""):
        with pytest.raises(SetupError, match="cannot be read"):
            read_schema(str(tmp_path / name))


@pytest.mark.parametrize("where", ["model_repository/demo", "model_repository"])
def test_a_policy_is_known_by_its_folder_and_by_the_repository_that_holds_it_alone(where: str) -> None:
    config = json.loads((REPOSITORY / "model_repository/demo/reflex_config.json").read_text())
    policy = read_policy(REPOSITORY / where)

    assert (policy.name, policy.content_hash) == ("demo", config["policy_hash"])
    assert policy.config == config


def test_a_folder_without_a_policy_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReflexError, match="holds no policy"):
        read_policy(tmp_path)
