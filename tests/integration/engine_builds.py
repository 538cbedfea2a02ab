"""Engines of the demo policy and of single graphs, built for real, and the processes that build them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex.model_repository import NAMED_ONLY, model_file
from reflex_export.engines import (
    BuildOptions,
    EngineRecord,
    build_engine,
    profile_of,
    read_onnx,
)
from reflex_export.families.family_graphs import build_graphs
from reflex_export.reading import read_checkpoint
from support.waiting import wait_until

__all__ = [
    "BUILD_S",
    "DEMO",
    "ENDED_S",
    "RTX",
    "build",
    "command",
    "config_of",
    "copy_of_demo",
    "entries",
    "worker_of",
]

DEMO = Path(__file__).parents[2] / "model_repository"
OTHERS = shutil.ignore_patterns(*(f"{name}*" for name in NAMED_ONLY))
"""One policy's engines are enough to build."""
CHECKPOINT = Path(__file__).parents[2] / "export" / "demo_checkpoint"
RTX = BuildOptions("tensorrt-rtx")
ENDED_S = 5.0
BUILD_S = 240.0
IS_WHOLE = "REFLEX_WHOLE_ENGINES" in os.environ


def copy_of_demo(folder: Path) -> Path:
    """With one step in place of ten, which are the same layers again: its engine takes 1 s of CPU in place of 8.

    `make endurance` builds all ten.
    """
    repository = Path(shutil.copytree(DEMO, folder / "model_repository", ignore=OTHERS, dirs_exist_ok=True))
    if not IS_WHOLE:
        model_file(repository, "demo_denoise").write_bytes(_one_step())
    return repository


@cache
def _one_step() -> bytes:
    return build_graphs(read_checkpoint(CHECKPOINT), (1,), "fp32").denoise[1].content


def build(path: Path, cache: Path, options: BuildOptions = RTX, **more: Any) -> EngineRecord:
    return build_engine(path, profile_of(read_onnx(path).inputs, max_batch=4), options, cache=cache, **more)


def config_of(model: Path) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


@contextlib.contextmanager
def command(repository: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """`reflex engines build` in a process of its own, which prints its JSON."""
    options = ("--engine", "tensorrt-rtx", "--cache", str(cache), "--json")
    with subprocess.Popen(
        [sys.executable, "-m", "reflex.cli", "engines", "build", str(repository), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The process in which TensorRT runs, once there is one."""
    workers: list[psutil.Process] = []

    def is_started() -> bool:
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "reflex_export.engines.worker" in child.cmdline():
                    workers.append(child)
        return bool(workers)

    wait_until(is_started, "a worker is started")
    return workers[0]


def entries(cache: Path) -> list[str]:
    """Finished engines of a cache."""
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith(".") and path.name != "locks")
