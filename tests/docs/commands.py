"""The command line, built once for all tests: Typer builds every command anew for each call of one, in 40 ms of CPU."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["built_once", "commands_are_built_once"]


@functools.cache
def built_once(app: Any) -> Any:
    """What `typer.main.get_command` makes of it."""
    from typer.main import get_command

    return get_command(app)


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """For `CliRunner`; tests that call no command do not pay for importing Typer."""
    with pytest.MonkeyPatch.context() as patch:
        if "typer" in sys.modules:
            patch.setattr("typer.testing._get_command", built_once)
        yield
