from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from typer.main import get_command


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """Typer's CliRunner builds all commands that there are anew for each call of one, which takes 40 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", functools.cache(get_command))
        yield
