"""`make soak`: many requests of every kind against one server, whose memory, descriptors and threads must stay flat.

    python -m reflex_bench.soak --requests 100000

The mix: plain requests, images of ever other sizes, instructions never seen before, requests sent twice, and invalid
ones; clients reconnect now and then. Every answer is checked: the status of its kind, and the nonce in every 200.
Prints a table and exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop
from PIL import Image

from reflex_bench.http_load import Answer, Connection, connect, http_request
from reflex_bench.observation import jpeg_base64
from reflex_bench.server import nonce_server

__all__ = ["Reading", "Soak", "main", "soak"]

CLIENTS: Final = 8
CALLS_PER_CONNECTION: Final = 500
OTHER_SIZES: Final = tuple(range(32, 332))
"""More image sizes than any cache of the frontend keeps."""
MAX_GROWTH_MB: Final = 20.0
MAX_DRIFT: Final = 2
"""Of descriptors: one connection that is closing while it is counted is no leak. Threads have no such excuse."""
READINGS: Final = 10
DEADLINE: Final = {"x-reflex-deadline-ms": "10000"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the frontend process held after `requests` requests."""

    requests: int
    rss_mb: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Shot:
    """One request and what its answer must be. `proof` is part of a right 200's body."""

    request: bytes
    status: int
    proof: bytes = b""


@dataclass
class Soak:
    """What became of a run. The first reading is the baseline."""

    readings: list[Reading] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def missed(self) -> list[str]:
        """The targets that were missed, in words."""
        first, last = self.readings[0], self.readings[-1]
        misses = [f"{len(self.wrong)} wrong answers, like {self.wrong[0]}"] if self.wrong else []
        if last.rss_mb - first.rss_mb > MAX_GROWTH_MB:
            misses.append(f"memory grew by {last.rss_mb - first.rss_mb:.1f} MB, target {MAX_GROWTH_MB:.0f}")
        if last.descriptors - first.descriptors > MAX_DRIFT:
            misses.append(f"descriptors grew from {first.descriptors} to {last.descriptors}")
        if last.threads > first.threads:
            misses.append(f"threads grew from {first.threads} to {last.threads}")
        return misses


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--baseline", type=int, default=10_000, help="requests before the first reading")
    options = parser.parse_args()
    if not 0 < options.baseline < options.requests:
        parser.error("--baseline must lie between 0 and --requests")
    result = soak(options.requests, options.baseline)
    _print(result)
    return 1 if result.missed() else 0


def soak(requests: int, baseline: int) -> Soak:
    """Send `requests` requests to a server of our own; the first reading comes after `baseline` of them."""
    with nonce_server() as served:
        return uvloop.run(_soak(served.port, served.pid, requests, baseline))


async def _soak(port: int, pid: int, requests: int, baseline: int) -> Soak:
    """The readings are taken between rounds, when nothing is in flight and every connection is closed."""
    result, shots = Soak(), _mix()
    started = time.monotonic()
    sent = 0
    for upto in [baseline, *_rounds(baseline, requests)]:
        await _fire(port, itertools.islice(shots, upto - sent), result)
        sent = upto
        await asyncio.sleep(0.2)
        result.readings.append(_read(pid, sent))
    result.seconds = time.monotonic() - started
    return result


def _rounds(baseline: int, requests: int) -> list[int]:
    return [baseline + (requests - baseline) * step // READINGS for step in range(1, READINGS + 1)]


async def _fire(port: int, shots: Iterator[Shot], result: Soak) -> None:
    await asyncio.gather(*(_client(port, shots, result) for _ in range(CLIENTS)))


async def _client(port: int, shots: Iterator[Shot], result: Soak) -> None:
    """Takes shots from the common magazine until it is empty."""
    while first := next(shots, None):
        connection = await connect(port)
        for shot in itertools.chain((first,), itertools.islice(shots, CALLS_PER_CONNECTION - 1)):
            _check(shot, await _answer(connection, shot), result)
            if not connection.is_open:
                break
        connection.close()


async def _answer(connection: Connection, shot: Shot) -> Answer | None:
    try:
        return await connection.send(shot.request)
    except ConnectionResetError:
        return None


def _check(shot: Shot, answer: Answer | None, result: Soak) -> None:
    status = 0 if answer is None else answer.status
    result.answers[status] = result.answers.get(status, 0) + 1
    if answer is None or status != shot.status or shot.proof not in answer.body:
        said = "no answer" if answer is None else f"{status} {answer.body[:200].decode(errors='replace')}"
        result.wrong.append(f"{said} instead of {shot.status} {shot.proof.decode()}")


def _mix() -> Iterator[Shot]:
    """For ever: of eleven, 6 plain, 1 of another image size, 1 with a new instruction, 1 sent twice, 1 wrong."""
    photo, wrong = jpeg_base64(), itertools.cycle(_wrong())
    sizes = itertools.cycle([_flat(side) for side in OTHER_SIZES])
    nonces = (float(count % 2**22) / 4 for count in itertools.count(1))
    while True:
        for _ in range(6):
            yield _good(next(nonces), image_b64=photo)
        yield _good(next(nonces), image_b64=next(sizes))
        nonce = next(nonces)
        yield _good(nonce, image_b64=photo, instruction=f"put object {nonce:g} beside object {nonce / 3:.3f}")
        again = _good(nonce, image_b64=photo, episode_id=f"episode-{nonce // 64:g}", request_id=f"request-{nonce}")
        yield from (again, again)
        yield next(wrong)


def _good(nonce: float, *, instruction: str = "pick up the red cup", **fields: str) -> Shot:
    body = {"instruction": instruction, "state": [nonce, 0.5, 0.0, 0.0, 0.0, 0.0], **fields}
    return Shot(_act(json.dumps(body).encode()), 200, f'"actions":[[{nonce!r},'.encode())


def _wrong() -> list[Shot]:
    good = {"instruction": "x", "state": [0.0] * 6, "image_b64": _flat(32)}
    return [
        Shot(_act(b'{"instruction": "x", "state": [NaN'), 400),
        Shot(_act(json.dumps({"instruction": "x"}).encode()), 400),
        Shot(_act(json.dumps({**good, "image_b64": "bm8gaW1hZ2U="}).encode()), 400),
        Shot(_act(json.dumps({**good, "image_b64": _flat(200)[:-400]}).encode()), 400),
        Shot(_act(json.dumps({**good, "state": [0.0] * 5}).encode()), 422),
        Shot(_act(json.dumps({**good, "instruction": "x" * 513}).encode()), 422),
        Shot(http_request("GET", "/nowhere"), 404),
        Shot(http_request("GET", "/metrics"), 200),
        Shot(http_request("GET", "/health"), 200),
    ]


def _act(body: bytes) -> bytes:
    return http_request("POST", "/act", body, DEADLINE)


def _flat(side: int) -> str:
    encoded = io.BytesIO()
    Image.new("RGB", (side, side), (0, side % 256, 0)).save(encoded, "JPEG")
    return base64.b64encode(encoded.getvalue()).decode()


def _read(pid: int, requests: int) -> Reading:
    process = Path("/proc") / str(pid)
    lines = (process / "status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return Reading(
        requests=requests,
        rss_mb=int(status["VmRSS"][0]) * 1024 / 1e6,
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(status["Threads"][0]),
    )


def _print(result: Soak) -> None:
    print(f"{'requests':>10} {'RSS MB':>8} {'descriptors':>12} {'threads':>8}")
    for reading in result.readings:
        print(f"{reading.requests:>10} {reading.rss_mb:>8.1f} {reading.descriptors:>12} {reading.threads:>8}")
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(result.answers.items()))
    print(f"{answers} in {result.seconds:.0f} s")
    for miss in result.missed():
        print(f"MISSED: {miss}")


if __name__ == "__main__":
    sys.exit(main())
