"""import-linter proves the floors: the tree passes, and one import that climbs makes it fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import PROCESS_S

REPOSITORY = Path(__file__).parents[2]
ROOTS = {
    "src": "reflex",
    "frontend": "reflex_frontend",
    "export": "reflex_export",
    "control": "reflex_control",
    "analysis": "reflex_analysis",
    "runner": "reflex_runner",
    "learning": "reflex_learning",
}

CLIMBING = [
    ("frontend/reflex_frontend/policy/breaker.py", "from reflex_frontend.exchange.routing import Router"),
    ("frontend/reflex_frontend/triton/gateway.py", "from reflex_frontend.observation.observation import check_state"),
    ("export/reflex_export/graph/node.py", "from reflex_export.families.act import build"),
    ("src/reflex/errors.py", "from reflex.wire.limits import MAX_SEED"),
    ("frontend/reflex_frontend/callers/keys.py", "from reflex_frontend.act.act import ActService"),
]
"""File, and an import that goes up, sideways or, in the last, round in a circle."""


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports` over the packages of this tree, whichever are installed."""
    path = os.pathsep.join(str(tree / root) for root in ROOTS)
    return subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
        cwd=tree, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=PROCESS_S,
        check=False,
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for root, package in ROOTS.items():
        shutil.copytree(REPOSITORY / root / package, tmp_path / root / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_each_floor_imports_only_those_below_it(tree: Path) -> None:
    done = lint(tree)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("path", "line"), CLIMBING, ids=lambda value: value.rpartition("/")[2])
def test_an_import_that_climbs_is_found(tree: Path, path: str, line: str) -> None:
    module = tree / path
    module.write_text(f"{module.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")

    done = lint(tree)

    assert done.returncode == 1, done.stdout


def test_a_room_without_a_floor_is_found(tree: Path) -> None:
    (tree / "frontend/reflex_frontend/attic").mkdir()
    (tree / "frontend/reflex_frontend/attic/__init__.py").write_text("")

    assert lint(tree).returncode == 1
