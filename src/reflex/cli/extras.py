"""Commands whose code lies in another package of Reflex, which needs an extra to be installed."""

from __future__ import annotations

import importlib
from typing import Any

import typer

from reflex.console import EXIT_FAILED, say
from reflex.wording.install import install_line

__all__ = ["load_extra"]


def load_extra(module: str, extra: str) -> Any:  # noqa: ANN401  # a module of another package, known only at run time
    """Import `module`; when a package of its extra is missing, say the line that installs it and exit with 1."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.partition(".")[0].startswith("reflex"):
            raise  # a broken installation of our own, which no extra repairs
        say(f"reflex: this needs the package {exc.name}, which is not installed; run: {install_line(extra)}")
        raise typer.Exit(EXIT_FAILED) from exc
