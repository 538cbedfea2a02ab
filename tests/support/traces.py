"""Synthetic recordings: headers, records with known latencies, chunks and faults, and the files that hold them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from reflex.traces.schema import (
    PolicyRecord,
    RecordLine,
    RequestRecord,
    TimingRecord,
    TraceHeader,
    ViolationRecord,
    to_line,
)
from reflex.wire import SlotName

__all__ = ["AXES", "Experiment", "header", "policy", "request", "smooth_chunk", "write_trace", "write_unfinished"]

AXES: Final = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
STARTED_AT: Final = 1_795_000_000.0
Chunk = npt.NDArray[np.float32]


def policy(name: str = "demo", *, control_hz: float | None = 20.0) -> PolicyRecord:
    return PolicyRecord(
        policy_id=name, policy_hash=f"sha256:{name}", model_version=f"{name}@{name:0<8}", family="demo",
        embodiment="franka", state_dim=6, action_dim=7, horizon=50, denoising_steps=10, noise_dim=7,
        action_names=AXES, control_hz=control_hz,
    )  # fmt: skip


def header(policies: Mapping[str, PolicyRecord] | None = None, **changes: Any) -> TraceHeader:
    settings = {"guard": True, "split": None, "record_images": "full"}
    whole = TraceHeader(
        "0123abcd", STARTED_AT, "0.1.0", policies or {"a": policy()}, settings, {"numpy": np.__version__}
    )
    return replace(whole, **changes)


def smooth_chunk(steps: int = 50, start: float = 0.0) -> Chunk:
    """A straight line on every axis: no jerk."""
    return np.repeat(start + np.arange(steps, dtype=np.float32)[:, None] / 64, len(AXES), axis=1)


def request(seq: int = 1, **changes: Any) -> RequestRecord:
    whole = RequestRecord(
        record_seq=seq, at=STARTED_AT + seq, episode_id="e1", request_id=f"r{seq}", slot="a", policy="demo@demo0000",
        status=200, instruction="pick up the red cup", state=(0.0,) * 6, seed=seq, actions_raw=smooth_chunk(),
        latency_ms=10.0, timing=TimingRecord(1.0, 0.5, 8.0, 0.5), denoising_steps=10,
    )  # fmt: skip
    return replace(whole, **changes)


def _encode(value: object) -> bytes:
    """As the server does."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def write_trace(path: Path, records: Iterable[RecordLine]) -> Path:
    """A file that was closed."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(to_line(record, _encode) for record in records)
    return path


def write_unfinished(path: Path, batches: Sequence[Sequence[RecordLine]]) -> Path:
    """As a killed writer leaves it: every batch flushed, the stream without an end."""
    pack = zlib.compressobj(1, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        for batch in batches:
            file.write(pack.compress(b"".join(to_line(record) for record in batch)))
            file.write(pack.flush(zlib.Z_SYNC_FLUSH))
    return path


class Experiment:
    """Two slots with known differences: each episode has its own level, as real ones do."""

    def __init__(self, seed: int, *, b_slower: float = 1.0, b_rougher: float = 1.0, chunks: int = 6) -> None:
        self._random = np.random.default_rng(seed)
        self._factors: Mapping[SlotName, tuple[float, float]] = {"a": (1.0, 1.0), "b": (b_slower, b_rougher)}
        self._chunks = chunks

    def records(self, episodes: int) -> Iterator[RequestRecord]:
        seq, at = 0, STARTED_AT
        for episode in range(episodes):
            slot: SlotName = "b" if episode % 2 else "a"
            slower, rougher = self._factors[slot]
            level = float(self._random.lognormal(0.0, 0.1))
            for _ in range(self._chunks):
                seq, at = seq + 1, at + 1.0
                yield self._record(seq, at, slot, f"episode-{episode}", 12.0 * level * slower, 0.01 * level * rougher)

    def _record(
        self, seq: int, at: float, slot: SlotName, episode: str, latency_ms: float, roughness: float
    ) -> RequestRecord:
        raw = np.cumsum(self._random.normal(0.0, roughness, (50, len(AXES))), axis=0).astype(np.float32)
        is_clamped = float(self._random.random()) < 0.05
        answered = np.minimum(raw, np.float32(raw.max() * 0.9)) if is_clamped else None
        axis = int(self._random.choice([0, 0, 0, 1, 6]))
        return request(
            seq, at=at, slot=slot, policy=f"{slot}-policy@{slot * 8}", episode_id=episode,
            latency_ms=latency_ms * float(self._random.lognormal(0.0, 0.2)), actions_raw=raw, actions=answered,
            guard_clamped=is_clamped,
            violations=(ViolationRecord(3, axis, AXES[axis], 2.0, 1.0, "above_range"),) * is_clamped,
        )  # fmt: skip
