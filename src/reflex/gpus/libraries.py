"""Which packages and libraries for GPUs are installed here, found by their files alone: importing them takes seconds.

`onnxruntime` and `onnxruntime-gpu` are two distributions of one import name, of which the last to be installed has
overwritten the other: what is imported is what its own file says.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "CUDA_LIBRARIES",
    "PLUGIN_DISTRIBUTIONS",
    "PLUGIN_MODULE",
    "Libraries",
    "library_folders",
    "read_libraries",
]

CUDA_MAJOR: Final = 13
"""That ONNX Runtime's CUDA provider, and the plugin, are built for."""
CUDA_LIBRARIES: Final = ("libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13",
                         "libcufft.so.12", "libnvrtc.so.13", "libcudnn.so.9")  # fmt: skip
"""What the provider links against, or opens when it computes."""
PLUGIN_MODULE: Final = "onnxruntime_ep_nv_tensorrt_rtx"
PLUGIN_DISTRIBUTIONS: Final = ("onnxruntime-ep-nv-tensorrt-rtx-cu13", "onnxruntime-ep-nv-tensorrt-rtx-cu12")
SYSTEM_FOLDERS: Final = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib",
                         "/usr/local/cuda/lib64", "/usr/local/cuda-13/lib64", "/usr/local/lib")  # fmt: skip
BUILT_FOR: Final = re.compile(r"^(package_name|cuda_version) *= *['\"]([\w.-]*)['\"]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Libraries:
    """What there is."""

    onnxruntime: str | None = None
    """The version that is imported, of whichever distribution."""
    cuda: str | None = None
    """The CUDA that it is built for, like "13.0"; None where it computes on the CPU alone."""
    distributions: tuple[str, ...] = ()
    """Those that bring the import name; more than one overwrote each other."""
    missing: tuple[str, ...] = ()
    """Of `CUDA_LIBRARIES`, what no folder has; looked for only where `cuda` is set."""
    plugin: str | None = None
    """The version of NVIDIA's TensorRT for RTX plugin of ONNX Runtime."""
    plugin_cuda: int | None = None


def read_libraries(folders: Iterable[Path] | None = None) -> Libraries:
    """Look; `folders` are those where libraries may lie, in place of the machine's."""
    versions = {name: _version(name) for name in ("onnxruntime", "onnxruntime-gpu")}
    installed = tuple(name for name, version in versions.items() if version)
    package = _folder_of("onnxruntime")
    built = _built_for(package) if package is not None else {}
    version = versions.get(built.get("package_name", "")) or next(filter(None, versions.values()), None)
    cuda = built.get("cuda_version") or None
    plugin = next(((name, found) for name in PLUGIN_DISTRIBUTIONS if (found := _version(name))), None)
    return Libraries(
        onnxruntime=version if package is not None else None,
        cuda=cuda,
        distributions=installed,
        missing=_missing(package, folders) if cuda is not None and package is not None else (),
        plugin=plugin[1] if plugin is not None and _folder_of(PLUGIN_MODULE) is not None else None,
        plugin_cuda=int(plugin[0].rpartition("cu")[2]) if plugin is not None else None,
    )


def library_folders(site_packages: Path) -> tuple[Path, ...]:
    """Where ONNX Runtime finds CUDA's libraries: NVIDIA's packages first, then as the loader does."""
    named = [part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
    packaged = [site_packages / "nvidia" / f"cu{CUDA_MAJOR}" / "lib", site_packages / "nvidia" / "cudnn" / "lib"]
    return (*packaged, *map(Path, named), *_configured(), *map(Path, SYSTEM_FOLDERS))


def _missing(package: Path, folders: Iterable[Path] | None) -> tuple[str, ...]:
    places = library_folders(package.parent) if folders is None else tuple(folders)
    return tuple(name for name in CUDA_LIBRARIES if not any((folder / name).exists() for folder in places))


def _configured() -> list[Path]:
    """The folders that this system's loader is told of."""
    lines: list[str] = []
    for path in sorted(Path("/etc/ld.so.conf.d").glob("*.conf")):
        try:
            lines += path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
    return [Path(line.strip()) for line in lines if line.strip().startswith("/")]


def _built_for(package: Path) -> dict[str, str]:
    try:
        text = (package / "capi" / "build_and_package_info.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return dict(BUILT_FOR.findall(text))


def _folder_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
