"""What a test may be skipped for: a tool or a right that this machine lacks. A skip for anything else is a failure.

The end of a run says how many were skipped for want of what, and how to run them; under xdist, too.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NoReturn, get_args

import pytest

__all__ = ["HOW_TO_RUN", "Tool", "reason_for", "skip_for_want_of", "skipped_module", "summary_of", "wanted_tool"]

Tool = Literal[
    "Docker",
    "Helm",
    "LeRobot",
    "OpenGL (EGL)",
    "PostgreSQL",
    "Prometheus",
    "Rerun",
    "chromium",
    "curl",
    "the right to mount",
]

HOW_TO_RUN: Final[dict[Tool, str]] = {
    "Docker": "make compose-test",
    "Helm": "make helm-test",
    "LeRobot": "make lerobot-test",
    "OpenGL (EGL)": "make test, with Debian's packages libegl1, libgl1 and libgl1-mesa-dri installed",
    "PostgreSQL": "make test, with Debian's package postgresql installed",
    "Prometheus": "make observability-test",
    "Rerun": "make rerun-test",
    "chromium": "make test and make whole-runs, with Debian's package chromium installed",
    "curl": "make test, with Debian's package curl installed",
    "the right to mount": "make test, as root",
}
_REASON: Final = re.compile(rf"(?:Skipped: )?needs ({'|'.join(map(re.escape, get_args(Tool)))})(?:, .*)?", re.DOTALL)


def reason_for(tool: Tool, detail: str = "") -> str:
    return f"needs {tool}, {detail}" if detail else f"needs {tool}"


def skip_for_want_of(tool: Tool, detail: str = "") -> NoReturn:
    """Skips the test that runs; `detail` says more than that the tool is missing."""
    pytest.skip(reason_for(tool, detail))


def wanted_tool(reason: str) -> str | None:
    """Which tool a skip's reason names; None for a skip that is none of the known ones."""
    found = _REASON.fullmatch(reason)
    return found and found[1]


def summary_of(reasons: Iterable[str]) -> list[str]:
    """A line for each tool: how many tests, what they need, how to run them."""
    counts = Counter(wanted_tool(reason) for reason in reasons)
    return [f"{counts[tool]} skipped: {tool} ({how})" for tool, how in HOW_TO_RUN.items() if counts[tool]]


def skipped_module(parent: pytest.Collector, path: Path, tool: Tool) -> pytest.Module:
    """Stands for a module of tests that cannot even be imported without the tool: each of its tests is skipped."""
    module: _SkippedModule = _SkippedModule.from_parent(parent, path=path)
    module.tool = tool
    return module


class _SkippedModule(pytest.Module):
    tool: Tool

    def collect(self) -> Iterable[pytest.Item]:
        for node in ast.parse(self.path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield _SkippedTest.from_parent(self, name=node.name)


class _SkippedTest(pytest.Item):
    def runtest(self) -> None:
        assert isinstance(self.parent, _SkippedModule)
        skip_for_want_of(self.parent.tool)
