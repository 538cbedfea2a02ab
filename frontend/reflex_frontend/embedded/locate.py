"""Find the parts of the embedded Triton on this machine, or say what is missing and how to get it.

The package nvidia-pytriton carries `tritonserver`, its libraries and a Python stub per Python version. We use those
files only and never import the package.
"""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from reflex import triton_wheel
from reflex.errors import SetupError
from reflex.triton_wheel import (
    PYTHON_VERSION,
    WHEEL,
    libpython_name,
    pytriton_folder,
    stub_of,
    stub_versions,
    triton_root,
)
from reflex.wording.install import install_line, pip_line

__all__ = ["Installation", "find_libpython", "find_python_bin", "find_stub", "find_triton_root", "locate"]


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the parts lie. `python_bin` is the folder whose `python3` is the running interpreter."""

    server: Path
    libraries: Path
    backend: Path
    stub: Path
    libpython: Path
    python_bin: Path


def locate() -> Installation:
    """Find every part; `SetupError` names the first missing one and the command that brings it."""
    _check_platform()
    root = find_triton_root()
    return Installation(
        server=_existing(root / "bin" / "tritonserver"),
        libraries=_existing(root.parent.parent / "nvidia_pytriton.libs"),
        backend=_existing(root / "backends" / "python"),
        stub=find_stub(root),
        libpython=find_libpython(),
        python_bin=find_python_bin(),
    )


def find_triton_root() -> Path:
    """The `tritonserver` folder inside the installed nvidia-pytriton."""
    pytriton = pytriton_folder()
    if pytriton is None:
        raise SetupError(
            f"the embedded Triton is not installed: {install_line('serve', 'embedded')} (Linux on x86-64), "
            "or serve from a Triton elsewhere with --triton grpc://HOST:8001"
        )
    return _existing(triton_root(pytriton))


def find_stub(root: Path, version: str = PYTHON_VERSION) -> Path:
    """The Python stub built for this version of Python."""
    stub = stub_of(root, version)
    if not stub.is_file():
        offered = ", ".join(stub_versions(root))
        raise SetupError(
            f"the embedded Triton has no Python stub for Python {version} (it has {offered}): "
            "make the environment with one of those"
        )
    return stub


def find_libpython(version: str = PYTHON_VERSION, folders: tuple[Path, ...] | None = None) -> Path:
    """The shared library of the interpreter, which the stub links against; static builds of Python lack it."""
    found = triton_wheel.find_libpython(version, folders)
    if found is not None:
        return found
    raise SetupError(
        f"{libpython_name(version)} was not found, and the embedded Triton needs it. "
        f"Debian and Ubuntu: apt install libpython{version}. "
        f"pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force {version}, then make the environment "
        "again. Python from uv or conda has it."
    )


def find_python_bin(executable: str = sys.executable) -> Path:
    """The folder of the running interpreter; the stub takes its packages from the first `python3` on PATH."""
    folder = Path(executable).parent
    python3 = folder / "python3"
    if not python3.exists() or not python3.samefile(executable):
        raise SetupError(
            f"{python3} is not the Python that runs Reflex ({executable}), so Triton would take other packages: "
            "install Reflex into a virtual environment (python -m venv .venv)"
        )
    return folder


def _check_platform() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SetupError(
            "the embedded Triton runs on Linux on x86-64 only; serve from a Triton elsewhere with "
            "--triton grpc://HOST:8001"
        )
    if shutil.which("bash") is None:
        raise SetupError("the embedded Triton starts its models through bash, which is not on PATH: install bash")


def _existing(path: Path) -> Path:
    if not path.exists():
        again = pip_line("install", "--force-reinstall", "--no-deps", WHEEL)
        raise SetupError(f"{path} is missing from nvidia-pytriton; install it again: {again}")
    return path
