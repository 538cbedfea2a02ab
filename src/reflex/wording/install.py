"""The lines that install what is missing, as they work for whoever reads them: in this Python, from where it came."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

from reflex.wording.origin import DISTRIBUTION, Origin, find_origin, from_here

__all__ = [
    "fresh_environment_line",
    "install_line",
    "install_line_elsewhere",
    "pip_line",
    "reinstall_line",
    "requirement",
]


def install_line(*extras: str) -> str:
    """Installs these extras of Reflex."""
    return pip_line("install", requirement(*extras))


def reinstall_line() -> str:
    """Puts Reflex itself in order again, and leaves what it needs as it is."""
    return pip_line("install", "--force-reinstall", "--no-deps", requirement())


def install_line_elsewhere(*extras: str) -> str:
    """Installs Reflex with these extras in another Python, as that of a container."""
    return f"pip install {requirement(*extras)}"


def fresh_environment_line(python_version: str, *extras: str) -> str:
    """Makes an environment of another version of Python, with Reflex and these extras in it."""
    return f"uv venv --python {python_version} && uv pip install {requirement(*extras)}"


def pip_line(verb: str, *arguments: str) -> str:
    """A line of pip for the Python that runs; the arguments are quoted already."""
    return " ".join((_pip(verb), *arguments))


def requirement(*extras: str, origin: Origin | None = None) -> str:
    """Reflex with these extras as pip takes it, quoted for a shell."""
    origin = find_origin() if origin is None else origin
    extra = f"[{','.join(extras)}]" if extras else ""
    if origin.path is not None:
        return f"{'-e ' if origin.is_editable else ''}{shlex.quote(from_here(origin.path) + extra)}"
    return shlex.quote(f"{DISTRIBUTION}{extra} @ {origin.url}" if origin.url else DISTRIBUTION + extra)


def _pip(verb: str) -> str:
    """`pip` on PATH may belong to another Python, and an environment of uv has none."""
    found = shutil.which("pip")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return f"pip {verb}"
    python = shlex.quote(sys.executable or "python3")
    if importlib.util.find_spec("pip") is None and shutil.which("uv") is not None:
        return f"uv pip {verb} --python {python}"
    return f"{python} -m pip {verb}"
