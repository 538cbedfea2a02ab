"""Commands whose code lies in another package of Reflex, which needs an extra to be installed."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reflex.console import reported_errors
from reflex.errors import SetupError
from reflex.wording.install import install_line

__all__ = ["load_extra"]


def load_extra(module: str, *extras: str, as_json: bool, what: str = "this") -> Any:  # noqa: ANN401  # a module, known only at run time
    """Import `module`; when a package of its extras is missing, say the line that installs it and exit with 1."""
    try:
        with _looking_for_no_garbage():
            return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.partition(".")[0].startswith("reflex"):
            raise  # a broken installation of our own, which no extra repairs
        missing = f"{what} needs the package {exc.name}, which is not installed; run: {install_line(*extras)}"
    with reported_errors(as_json=as_json):
        raise SetupError(missing)


@contextmanager
def _looking_for_no_garbage() -> Iterator[None]:
    """An import makes what stays: to look for garbage in it takes a tenth of a server's start, and finds none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
