"""Where the tests of a module are found: at the mirrored path, or where the table below says.

`frontend/reflex_frontend/act/keys.py` is tested by `tests/unit/reflex_frontend/act/test_keys.py`. A module without such
a file is in the table, with the file whose tests reach it. House rules hold both, and that no test lies where no module
is: a module that moves takes its tests along.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Final

from house.covered_by import COVERED_BY
from house.several_modules import SEVERAL_MODULES
from house.source import SourceFile

__all__ = ["misplaced"]

ROOTS: Final = ("src", "frontend", "export", "control", "analysis", "runner", "learning", "bench")
PLUGIN: Final = "integrations/lerobot_policy_reflex/"
"""A distribution of its own: its package lies one folder deeper."""
NO_TESTS_OF_THEIR_OWN: Final = ("__init__.py", "__main__.py")
IN_ANOTHER_PROGRAM: Final = (
    "frontend/reflex_frontend/embedded/backends/",
    "control/reflex_control/store/migrations/",
    *(f"{PLUGIN}lerobot_policy_reflex/{role}_reflex.py" for role in ("configuration", "modeling", "processor")),
)
"""Loaded inside Triton, by Alembic or by LeRobot: no test imports it."""
PLAIN: Final = ("tests/unit/reflex_bench/",)
"""Folders whose modules are tools, tested where they promise something."""


def misplaced(
    files: Iterable[SourceFile],
    covered_by: Mapping[str, str] = COVERED_BY,
    several: Iterable[str] = SEVERAL_MODULES,
) -> list[str]:
    """One line for each module without tests, each test without a module, and each stale line of the tables."""
    by_path = {file.path: file for file in files}
    modules = {path: _mirrored(path) for path in by_path if _is_tested(path)}
    return [
        *_untested(modules, Imports(by_path.values()), covered_by),
        *_homeless(by_path, set(modules.values()), {*covered_by.values(), *several}),
        *(
            f"{test}:1: named in tests/house/several_modules.py and not there"
            for test in several
            if test not in by_path
        ),
    ]


class Imports:
    """Which modules each file reaches; a file's own imports are looked up once."""

    def __init__(self, files: Iterable[SourceFile]) -> None:
        self.paths = {file.path: file for file in files}
        self._by_name = {_dotted(path): path for path in self.paths if path.endswith(".py")}

    def reached_by(self, path: str) -> set[str]:
        """Every module of ours that the file imports, or that is imported on the way."""
        reached: set[str] = set()
        waiting = [path]
        while waiting:
            new = self._direct(waiting.pop()) - reached
            reached |= new
            waiting += [self._by_name[name] for name in new]
        return reached

    @cache  # noqa: B019  # one of them lives as long as a run
    def _direct(self, path: str) -> frozenset[str]:
        return frozenset(_imported(self.paths[path]) & self._by_name.keys())


def _untested(modules: Mapping[str, str], imports: Imports, covered_by: Mapping[str, str]) -> Iterator[str]:
    for path, mirrored in modules.items():
        named = covered_by.get(path)
        if mirrored in imports.paths:
            if named is not None:
                yield f"{path}:1: has {mirrored}; take its line out of tests/house/covered_by.py"
        elif named is None:
            yield f"{path}:1: no {mirrored}; write it, or name the test that covers it in tests/house/covered_by.py"
        elif named not in imports.paths:
            yield f"{path}:1: {named}, which should cover it, is not there"
        elif not path.startswith(IN_ANOTHER_PROGRAM) and _dotted(path) not in imports.reached_by(named):
            yield f"{path}:1: {named}, which should cover it, does not reach it"
    yield from (
        f"{path}:1: named in tests/house/covered_by.py and not there" for path in covered_by if path not in modules
    )


def _homeless(by_path: Mapping[str, SourceFile], mirrored: set[str], named: set[str]) -> Iterator[str]:
    for path in by_path:
        is_mirror = path.startswith(("tests/unit/reflex", "tests/unit/lerobot_policy_reflex")) and PurePosixPath(
            path
        ).name.startswith("test_")
        if is_mirror and not path.startswith(PLAIN) and path not in mirrored | named:
            yield f"{path}:1: tests no module of this name; move it, or name it in tests/house/several_modules.py"


def _is_tested(path: str) -> bool:
    is_product = path.partition("/")[0] in ROOTS[:-1] and _inside(path).startswith("reflex")
    is_ours = (is_product or path.startswith(PLUGIN)) and path.endswith(".py")
    return is_ours and PurePosixPath(path).name not in NO_TESTS_OF_THEIR_OWN


def _inside(path: str) -> str:
    """Without the folder from which it is imported."""
    return path.removeprefix(PLUGIN) if path.startswith(PLUGIN) else path.partition("/")[2]


def _mirrored(path: str) -> str:
    inside = PurePosixPath(_inside(path))
    return str(PurePosixPath("tests/unit") / inside.parent / f"test_{inside.name}")


def _dotted(path: str) -> str:
    inside = path if path.startswith("tests/") else _inside(path)
    return inside.removeprefix("tests/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(file: SourceFile) -> set[str]:
    """Imports, and strings that are the name of a module: some are imported when a command runs."""
    names: set[str] = set()
    for node in file.nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("reflex"):
            names.add(node.value)
    return names
