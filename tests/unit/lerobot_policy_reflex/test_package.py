"""What LeRobot's loader and a robot's environment want of the distribution, read from sources that need LeRobot."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import reflex
from docs.documents import REPOSITORY

HOME = REPOSITORY / "integrations" / "lerobot_policy_reflex"
PACKAGE = HOME / "lerobot_policy_reflex"
MODULES = sorted(PACKAGE.glob("*.py"))
PROJECT: dict[str, Any] = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOREIGN = {"lerobot", "torch", "numpy", "PIL"}
NEEDS_LEROBOT = {"configuration_reflex", "modeling_reflex", "processor_reflex"}
"""LeRobot finds the classes by these names: https://github.com/huggingface/lerobot, policies/factory.py."""
STANDARD = {"__future__", "collections", "dataclasses", "importlib", "io", "logging", "os", "pathlib", "typing"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def test_the_name_is_the_one_that_lerobot_looks_for_and_that_of_the_package() -> None:
    assert PROJECT["name"] == PACKAGE.name
    assert PROJECT["name"].startswith("lerobot_policy_")


def test_version_and_license_are_those_of_reflex() -> None:
    whole = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert (PROJECT["version"], PROJECT["license"]) == (reflex.__version__, whole["license"])
    assert (HOME / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


def test_what_is_imported_is_what_is_declared_and_of_reflex_no_more_than_a_robot_installs() -> None:
    for path in MODULES:
        assert set(imports(path)) <= {"reflex", "lerobot_policy_reflex", *FOREIGN, *STANDARD}, path.name
    declared = {line.partition(">")[0] for line in PROJECT["dependencies"]}
    # torch comes with LeRobot, which says which one fits it.
    assert declared == {"lerobot", "numpy", "pillow", "reflex-act"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_only_what_lerobot_loads_needs_lerobot(path: Path) -> None:
    needs = bool({"lerobot", "torch"} & set(imports(path)))

    assert needs == (path.stem in NEEDS_LEROBOT)


@pytest.mark.slow
def test_nothing_of_reflex_needs_the_plugin() -> None:
    roots = ("src", "frontend", "export", "control", "analysis", "runner", "learning", "bench")
    others = [path for root in roots for path in (REPOSITORY / root).rglob("*.py")]

    assert len(others) > 300
    assert [str(path) for path in others if "lerobot_policy_reflex" in set(imports(path))] == []


def test_the_classes_have_the_names_that_lerobot_makes_of_the_type() -> None:
    assert list(classes("configuration_reflex")) == ["ReflexConfig"]
    assert list(classes("modeling_reflex")) == ["ReflexPolicy"]
    assert "def make_reflex_pre_post_processors(" in (PACKAGE / "processor_reflex.py").read_text(encoding="utf-8")


def test_every_field_of_the_configuration_is_in_the_readme() -> None:
    [config] = classes("configuration_reflex").values()
    fields = {
        node.target.id for node in config.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    readme = (HOME / "README.md").read_text(encoding="utf-8")

    assert {name for name in fields - {"device", "chunk_size", "rtc"} if f"| `{name}` |" not in readme} == set()
