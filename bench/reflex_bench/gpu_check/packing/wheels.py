"""The wheels that a machine needs, in the versions of the images, fetched by pip for whatever Python it has."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal

__all__ = ["MODULES", "Kind", "PackError", "fetch_wheels", "wanted"]

Kind = Literal["cuda", "trt-rtx", "cpu"]

LOCKS: Final = ("export.txt", "frontend.txt", "triton-cpu.txt")
PINNED: Final = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
PLUGIN: Final = "onnxruntime-ep-nv-tensorrt-rtx-cu13"
UNUSED: Final = frozenset({"hf-xet", "fsspec", "filelock", "tqdm", "httpx2", "httpcore2", "truststore"})
"""Of downloads from a hub."""
PLATFORMS: Final = ("manylinux1_x86_64", "manylinux2014_x86_64", *(f"manylinux_2_{n}_x86_64" for n in range(5, 40)))
MODULES: Final = ("numpy", "onnx", "onnx_ir", "ml_dtypes", "onnxruntime", "tokenizers", "PIL", "pydantic", "yaml")
"""Without these nothing runs; what serves is asked for when `/act` is measured."""


class PackError(Exception):
    """It cannot be packed; the message says what to do."""


def wanted(requirements: Path, kind: Kind, without: Collection[str] = ()) -> Iterator[str]:
    """`name==version` of each; ONNX Runtime in the build that the kind needs."""
    pinned: dict[str, str] = {}
    for lock in LOCKS:
        pinned |= dict(PINNED.findall((requirements / lock).read_text(encoding="utf-8")))
    for name, version in sorted(pinned.items()):
        if name in UNUSED or name in without:
            continue
        yield f"onnxruntime-gpu=={version}" if name == "onnxruntime" and kind == "cuda" else f"{name}=={version}"
    if kind == "trt-rtx" and PLUGIN not in without:
        yield PLUGIN


def fetch_wheels(names: Collection[str], python: str, folder: Path) -> None:
    """By pip, from where pip is told to look; nothing of it is built."""
    platforms = [word for platform in reversed(PLATFORMS) for word in ("--platform", platform)]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"),
        *("--python-version", python, "--implementation", "cp", *platforms, "--dest", str(folder), *names),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr[-300:])
        raise PackError(f"pip has not found everything ({reason.strip()}); try --without NAME for what the machine has")
