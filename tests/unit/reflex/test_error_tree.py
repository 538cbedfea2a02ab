"""The one tree of errors over all packages: drawn, with a code for scripts, and a moment at which it is raised."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import reflex
import reflex_analysis
import reflex_control
import reflex_export
import reflex_frontend
import reflex_learning
import reflex_runner
from docs.documents import REPOSITORY
from reflex.errors import ReflexError, ServiceError

NEEDS_ANOTHER_PROGRAM = (
    "reflex_frontend.embedded.backends",
    "reflex_frontend.embedded.launch",
    "reflex_control.store.migrations",
    "reflex_runner.connectors.commands.lerobot_helper",
    "reflex_runner.recording.formats.rerun_file",
)
"""Run inside Triton's Python stub, as a script, by Alembic, in a LeRobot's Python, or where Rerun is installed."""


def modules() -> Iterator[ModuleType]:
    for package in (
        reflex,
        reflex_analysis,
        reflex_control,
        reflex_export,
        reflex_frontend,
        reflex_learning,
        reflex_runner,
    ):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith(NEEDS_ANOTHER_PROGRAM) and not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def exceptions() -> list[type[ReflexError]]:
    """Every exception class that a module of the product defines."""
    defined: set[Any] = {
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__.split(".")[0] in OURS
    }
    assert [kind for kind in defined if not issubclass(kind, ReflexError)] == []
    return sorted(defined, key=lambda kind: kind.__name__)


OURS = (
    "reflex",
    "reflex_analysis",
    "reflex_control",
    "reflex_export",
    "reflex_frontend",
    "reflex_learning",
    "reflex_runner",
)
ERRORS = exceptions()


def parents_drawn_in(text: str) -> dict[str, str]:
    """Child to parent, by the indentation of a drawn tree."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        found = re.match(r"([\s│]*)(?:[├└]── )?(\w+Error)\b", line)
        if found is None:
            continue
        depth = found.start(2)
        while above and above[-1][0] >= depth:
            above.pop()
        if above and "──" in line:
            parents[found[2]] = above[-1][1]
        above.append((depth, found[2]))
    return parents


def drawings_for(kind: type[Exception]) -> list[dict[str, str]]:
    """Those where it may be drawn: its module's, and those of the `errors` modules above it."""
    names, package = [kind.__module__], kind.__module__
    while "." in package:
        package = package.rpartition(".")[0]
        names.append(f"{package}.errors")
    texts = [importlib.import_module(name).__doc__ or "" for name in names if importlib.util.find_spec(name)]
    return [parents_drawn_in(text) for text in texts]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_one_of_ours_and_has_a_code_of_its_own(kind: type[ReflexError]) -> None:
    assert issubclass(kind, ReflexError)
    assert re.fullmatch(r"[a-z_]+", vars(kind)["code"])
    assert kind.raised in ("set-up", "run time")


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not ReflexError], ids=lambda kind: kind.__name__)
def test_an_error_is_drawn_below_its_parent(kind: type[ReflexError]) -> None:
    assert kind.__bases__[0].__name__ in [drawing.get(kind.__name__) for drawing in drawings_for(kind)]


def test_no_two_errors_have_the_same_code() -> None:
    codes = [vars(kind)["code"] for kind in ERRORS]

    assert sorted(codes) == sorted(set(codes))


def test_nothing_is_drawn_that_is_not_there() -> None:
    drawn = {name for module in modules() for name in parents_drawn_in(module.__doc__ or "")}

    assert drawn == {kind.__name__ for kind in ERRORS} - {"ReflexError"}


def test_every_code_that_a_command_may_print_is_documented_with_its_moment() -> None:
    document = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (set-up|run time) \|", document, re.MULTILINE))
    printed = {vars(kind)["code"]: kind.raised for kind in ERRORS if not issubclass(kind, ServiceError)}
    inside = {"reflex", "triton_call", "client_gone", "http_framing", "model_control", "config_text"}

    assert rows == {code: raised for code, raised in printed.items() if code not in inside}
