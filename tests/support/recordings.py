"""Entries to record, and files of recordings read back by nothing but zlib and json.

`python -m support.recordings DIRECTORY` records as fast as it can until it is killed.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reflex.traces.schema import PolicyRecord, TraceHeader
from reflex_frontend.observing.recording.entry import ActEntry
from reflex_frontend.observing.recording.recorder import Recorder
from support.clock import Clock
from support.fakes import chunk

__all__ = ["act_entry", "lines_in", "raw_lines", "trace_header", "wall_clock"]

POLICY = "small@0123456789ab"


def wall_clock() -> Clock:
    """It is 2027-01-15 08:00:00 UTC."""
    return Clock(1_800_000_000.0)


def trace_header(server_id: str = "0badcafe", *, model_version: str = POLICY) -> TraceHeader:
    policy = PolicyRecord(
        policy_id="small", policy_hash="sha256:00", model_version=model_version, family="pi0", embodiment="franka",
        state_dim=6, action_dim=7, horizon=4, denoising_steps=10, noise_dim=7, action_names=tuple("abcdefg"),
    )  # fmt: skip
    return TraceHeader(server_id, 1_800_000_000.0, "0.1", {"a": policy}, {"guard": True}, {"python": "3"})


def act_entry(number: int = 1, **changes: Any) -> ActEntry:
    """A 200; `number` tells it from others."""
    fields: dict[str, Any] = {
        "request_id": f"request-{number}", "episode_id": f"episode-{number % 3}", "slot": "a", "policy": POLICY,
        "status": 200, "instruction": "pick up the cup", "state": (0.1,) * 6, "seed": number,
        "actions_raw": chunk() + np.float32(number) / 1000, "latency_ms": 12.5, "denoising_steps": 10,
        "timing": {"decode_ms": 0.5, "queue_ms": 0.0, "infer_ms": 11.0, "guard_ms": 0.1},
    }  # fmt: skip
    return ActEntry(**(fields | changes))


def raw_lines(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of one file, and what stands behind the last newline."""
    text, packed = b"", path.read_bytes()
    while packed:
        unpack = zlib.decompressobj(31)
        text += unpack.decompress(packed)
        packed = unpack.unused_data
    *lines, rest = text.split(b"\n")
    return lines, rest


def lines_in(directory: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Every line of the recordings in the folder, in the order of the files' names and numbers."""
    files = sorted(directory.glob("*.jsonl.gz"), key=lambda path: int(path.name.split("_")[2].partition(".")[0]))
    return [line for path in files for line in _parsed(path) if kind in (None, line["kind"])]


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    for line in raw_lines(path)[0]:
        yield json.loads(line)


def main() -> None:
    recorder = Recorder(Path(sys.argv[1]), trace_header(), images="full")
    recorder.start()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    while True:
        recorder.record(act_entry(recorder.records_written, images={"base": noise}))
        time.sleep(0.0005)


if __name__ == "__main__":
    main()
