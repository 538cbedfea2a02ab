"""A writer on a small scale, and what its files are looked at for."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reflex.traces.lines import Losses, lines_of
from reflex_frontend.observing.recording.trace_file import TraceFile
from reflex_frontend.observing.recording.writer import FilePolicy, TraceWriter
from support.clock import Clock
from support.recordings import trace_header

__all__ = [
    "HOUR_S",
    "NOISE",
    "fill",
    "is_complete",
    "largest_file",
    "lines_of_file",
    "names",
    "number_of",
    "total",
    "writer",
]

HOUR_S = 3600.0
NOISE = os.urandom(4096).hex().encode()
"""Hardly compressible: 4 KiB of it take 4 KiB."""


def writer(directory: Path, clock: Clock, server_id: str = "0badcafe", **policy: object) -> TraceWriter:
    return TraceWriter(directory, trace_header(server_id), FilePolicy(**policy), clock)  # type: ignore[arg-type]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Writing beyond fails with EFBIG, as it would with ENOSPC: in the middle of a write, what fits is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(directory: Path, server_id: str, clock: Callable[[], float], files: int) -> None:
    for number in range(files):
        file = TraceFile(directory / f"2027-01-15T08Z_{server_id}_{number}.jsonl.gz")
        file.add(os.urandom(8192).hex().encode() + b"\n")
        file.close()


def total(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def is_complete(path: Path) -> bool:
    unpack = zlib.decompressobj(31)
    unpack.decompress(path.read_bytes())
    return unpack.eof


def lines_of_file(path: Path) -> list[dict[str, Any]]:
    """By the product's own reader, which must find nothing missing."""
    losses = Losses()
    lines = [json.loads(line) for line in lines_of(path, losses)]
    assert not losses.any
    return lines


def number_of(path: Path) -> int:
    return int(path.name.split("_")[2].partition(".")[0])
