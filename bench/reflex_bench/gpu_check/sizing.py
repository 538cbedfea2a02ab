"""How many robots one card serves, from what was measured of it.

    python -m reflex_bench.gpu_check.sizing [RESULTS] [--family pi0] [--cameras 3] [--hz 5] [--deadline-ms 200]

A robot asks for a chunk `hz` times a second. A batch of b of them takes encoder(b) + denoise(b); a request that has
just missed one waits for it and then takes as long itself, so twice that time, and what `/act` adds, must fit the
deadline. Of the batches that fit, the one with the most chunks a second counts, at 70 % of that rate, so that requests
that come together do not queue beyond their deadlines:

    robots = 0.7 x b / (encoder(b) + denoise(b)) / hz

RESULTS is a file of `make gpu-check`; without one, the figures of an H200 of 2026-11-27 are taken (docs/gpu.md).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["H200", "Capacity", "NotMeasuredError", "capacity", "curve_of", "main"]

BUSY: Final = 0.7
"""Of the best rate: what comes at random meets others, and waits."""
ACT_MS: Final = 2.5
"""What `/act` may add to the model's time."""

Curve = Mapping[int, float]
"""Milliseconds of a chunk for every robot of a batch, by the batch's size."""

H200: Final[Mapping[tuple[str, int], Curve]] = {
    ("pi0", 3): {1: 15.9 + 28.2, 4: 4 * 15.9 + 37.9, 8: 8 * 15.9 + 47.4},
    ("pi0", 2): {1: 12.1 + 27.9},
    ("pi0", 1): {1: 8.5 + 26.4},
    ("smolvla", 3): {1: 8.9 + 19.2, 4: 4 * 8.9 + 22.4, 8: 8 * 8.9 + 26.3},
    ("smolvla", 1): {1: 4.8 + 18.8},
}
"""ONNX Runtime CUDA, FP16, CUDA graph, 2026-11-27, with the graphs before they were made of fewer kernels. Batches of
the encoder were not measured: one after the other is what they cost at most."""


class NotMeasuredError(Exception):
    """The results hold no such policy; the message says which they do."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a card does for robots that all ask alike."""

    robots: int
    batch: int
    batch_ms: float
    chunks_per_s: float
    """At its best, all the time busy."""

    def __str__(self) -> str:
        if not self.robots:
            return "no robot: not even one chunk at a time keeps this deadline"
        return f"{self.robots} robots, in batches of up to {self.batch} ({self.batch_ms:.1f} ms each)"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        curve = _curve(options.results, options.family, options.cameras)
    except (NotMeasuredError, OSError, ValueError) as exc:
        print(f"sizing: {exc}", file=sys.stderr)
        return 1
    found = capacity(curve, hz=options.hz, deadline_ms=options.deadline_ms)
    of = f"{options.family}, {options.cameras} camera(s), {options.hz:g} chunks a second, {options.deadline_ms:g} ms"
    print(json.dumps(asdict(found)) if options.json else f"{of}: {found}")
    return 0 if found.robots else 1


def capacity(curve: Curve, *, hz: float, deadline_ms: float) -> Capacity:
    """The most robots that one card serves within their deadlines."""
    none = Capacity(0, 0, min(curve.values()), 0.0)
    fitting = [(batch, ms) for batch, ms in curve.items() if 2 * ms + ACT_MS <= deadline_ms]
    found = (_of_batch(batch, ms, hz) for batch, ms in fitting)
    return max(found, key=lambda one: (one.robots, -one.batch), default=none)


def _of_batch(batch: int, ms: float, hz: float) -> Capacity:
    rate = 1e3 * batch / ms
    return Capacity(math.floor(BUSY * rate / hz), batch, ms, rate)


def curve_of(results: Mapping[str, Any], family: str, cameras: int) -> Curve:
    """From the JSON of a run; the way of running that is quickest alone, if it has several."""
    by_way: dict[str, dict[int, float]] = {}
    for row in _chunk_rows(results):
        keys = row["keys"]
        if (keys["family"], keys["cameras"]) == (family, cameras):
            by_way.setdefault(keys["way"], {})[int(keys["batch"])] = float(row["value"])
    if not by_way:
        measured = sorted({f"{row['keys']['family']} with {row['keys']['cameras']}" for row in _chunk_rows(results)})
        raise NotMeasuredError(
            f"{family} with {cameras} camera(s) was not measured there, but {', '.join(measured) or 'nothing'}; "
            "run make gpu-check again, with more --seconds"
        )
    return min(by_way.values(), key=lambda curve: curve[min(curve)])


def _chunk_rows(results: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [row for stage in results["stages"] for row in stage["rows"] if row["keys"].get("part") == "together"]


def _curve(path: Path | None, family: str, cameras: int) -> Curve:
    if path is not None:
        return curve_of(json.loads(path.read_text(encoding="utf-8")), family, cameras)
    if (family, cameras) not in H200:
        known = ", ".join(f"{name} with {count}" for name, count in H200)
        raise NotMeasuredError(f"of {family} with {cameras} camera(s) nothing was measured on an H200, but of {known}")
    return H200[family, cameras]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reflex_bench.gpu_check.sizing",
        description=__doc__,
        epilog="example: python -m reflex_bench.gpu_check.sizing bench/results/gpu_check.json --family smolvla --hz 10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, nargs="?", default=None, help="JSON of make gpu-check")
    parser.add_argument("--family", default="pi0", help="smolvla, pi0 or pi05; the default is pi0")
    parser.add_argument("--cameras", type=int, default=3, help="of each robot; the default is 3")
    parser.add_argument("--hz", type=_positive, default=5.0, help="chunks a second that a robot asks for")
    parser.add_argument("--deadline-ms", type=_positive, default=200.0, help="of a request")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
