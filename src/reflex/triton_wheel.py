"""What the embedded Triton is made of: the files of the package nvidia-pytriton, and this Python's shared library.

Nothing here imports that package: it starts threads, and takes a second.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = [
    "PYTHON_VERSION",
    "STUB_FILE",
    "WHEEL",
    "find_libpython",
    "libpython_name",
    "pytriton_folder",
    "stub_of",
    "stub_versions",
    "triton_root",
]

PYTHON_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
WHEEL: Final = "nvidia-pytriton==0.7.0"
"""The one that the extra `embedded` asks for."""
STUB_FILE: Final = "triton_python_backend_stub"
STUBS_FOLDER: Final = "python_backend_stubs"


def pytriton_folder() -> Path | None:
    """Where the package is installed; None when it is not."""
    spec = importlib.util.find_spec("pytriton")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def triton_root(pytriton: Path) -> Path:
    """Triton's own folder in the package."""
    return pytriton / "tritonserver"


def stub_of(root: Path, version: str) -> Path:
    """Where the helper process for a version of Python ("3.11") would lie; it need not be there."""
    return root / STUBS_FOLDER / version / STUB_FILE


def stub_versions(root: Path) -> list[str]:
    """The versions of Python that have one."""
    return sorted(path.parent.name for path in root.glob(f"{STUBS_FOLDER}/*/{STUB_FILE}"))


def libpython_name(version: str) -> str:
    return f"libpython{version}.so.1.0"


def find_libpython(version: str, folders: Iterable[Path] | None = None) -> Path | None:
    """The shared library of the interpreter, which the stub links against; static builds of Python lack it."""
    name = libpython_name(version)
    places = _library_folders() if folders is None else folders
    return next((folder / name for folder in places if (folder / name).is_file()), None)


def _library_folders() -> tuple[Path, ...]:
    configured = (sysconfig.get_config_var("LIBDIR"), sys.base_prefix + "/lib", "/usr/lib", "/usr/local/lib")
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    plain = [Path(folder) for folder in configured if folder]
    return tuple(plain + [folder / multiarch for folder in plain])
