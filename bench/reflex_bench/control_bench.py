"""`make bench-control`: a thousand robots with their heartbeats at one control plane on SQLite, for ten minutes.

    python -m reflex_bench.control_bench --seconds 60

Every robot has a key and a connection of its own and beats every 10 s, whether it was answered or not; some drive in a
session, whose credential each heartbeat renews. Servers of policies listen to the stream of events. A heartbeat's time
is from when it was due to its whole answer. Prints a table, writes JSON, and exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import uvloop

from reflex_bench.control_fleet import ControlServer, Fleet, control_server, make_fleet
from reflex_bench.http_load import Asker, http_request

__all__ = ["Load", "Result", "main", "measure"]

P99_MS: Final = 50.0
MAX_GROWTH_MB: Final = 10.0
"""Of the server's memory, from the first reading, when every robot has been heard, to the last."""
READINGS: Final = 10
GOOD: Final = frozenset({200})


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the control plane."""

    robots: int
    sessions: int
    listeners: int
    every_s: float
    seconds: float


@dataclass
class Result:
    """What became of a run: of every heartbeat its milliseconds; megabytes of the server, from time to time."""

    load: Load
    took_ms: list[float] = field(default_factory=list)
    with_session_ms: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    rss_mb: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def percentile_ms(self, percentile: float) -> float:
        return float(np.percentile(self.took_ms, percentile))

    def missed(self) -> list[str]:
        """The targets that were missed, in words."""
        wrong = {status: count for status, count in self.answers.items() if status not in GOOD}
        misses = [f"answers that are no 200: {wrong}"] if wrong else []
        if (p99_ms := self.percentile_ms(99)) > P99_MS:
            misses.append(f"p99 is {p99_ms:.1f} ms, target {P99_MS:.0f} ms")
        if (growth_mb := self.rss_mb[-1] - self.rss_mb[0]) > MAX_GROWTH_MB:
            misses.append(f"memory grew by {growth_mb:.1f} MB, target {MAX_GROWTH_MB:.0f} MB")
        return misses


def main() -> int:
    options = _options()
    load = Load(options.robots, options.sessions, options.listeners, options.every_s, options.seconds)
    result = measure(load)
    _print(result)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    shown = {"machine": machine, "load": asdict(load), "missed": result.missed(), "rss_mb": result.rss_mb,
             **{f"p{each}_ms": result.percentile_ms(each) for each in (50, 99)}}  # fmt: skip
    options.output.write_text(json.dumps(shown, indent=2) + "\n")
    return 1 if result.missed() else 0


def measure(load: Load) -> Result:
    """Run the load against a control plane of our own, on a store that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="reflex-bench-") as folder:
        data = Path(folder) / "data"
        fleet = make_fleet(data, load.robots)
        with control_server(data) as server:
            return uvloop.run(_run(server, fleet, load))


async def _run(server: ControlServer, fleet: Fleet, load: Load) -> Result:
    result = Result(load)
    sessions = await fleet.authorize(server, load.sessions)
    async with asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(_listen(server, fleet)) for _ in range(load.listeners)]
        began_at, began_cpu_s = time.monotonic(), server.cpu_s()
        robots = [
            tasks.create_task(_beat(server, *request, began_at + load.every_s * number / load.robots, result))
            for number, request in enumerate(_requests(fleet, sessions))
        ]
        await _read(server, result, began_at)
        await asyncio.gather(*robots)
        result.cpu_s = server.cpu_s() - began_cpu_s
        for task in listening:
            task.cancel()
    return result


def _requests(fleet: Fleet, sessions: Mapping[str, str]) -> list[tuple[bytes, bool]]:
    """The heartbeat of each robot, and whether it drives."""
    requests = []
    for robot_id, key in zip(fleet.robots, fleet.keys, strict=True):
        driving = {"sessionId": sessions[robot_id], "steps": 50} if robot_id in sessions else {}
        body = json.dumps({"latencyMs": 12.5, "refusedChunks": 0, **driving}).encode()
        path, headers = f"/v1/robots/{robot_id}/heartbeat", {"authorization": f"Bearer {key}"}
        requests.append((http_request("POST", path, body, headers), bool(driving)))
    return requests


async def _beat(server: ControlServer, request: bytes, drives: bool, first_at: float, result: Result) -> None:  # noqa: FBT001
    load, due_at = result.load, first_at
    asker = Asker(server.port)
    while due_at < first_at + load.seconds:
        await asyncio.sleep(max(0.0, due_at - time.monotonic()))
        answer = await asker.send(request)
        took_ms = 1000 * (time.monotonic() - due_at)
        result.answers[answer.status] += 1
        result.took_ms.append(took_ms)
        if drives:
            result.with_session_ms.append(took_ms)
        due_at += load.every_s
    asker.close()


async def _read(server: ControlServer, result: Result, began_at: float) -> None:
    """Memory, from when every robot has been heard twice."""
    load = result.load
    first_s = min(2 * load.every_s, load.seconds / 2)
    for reading in range(READINGS + 1):
        at = began_at + first_s + (load.seconds - first_s) * reading / READINGS
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        result.rss_mb.append(server.rss_mb())


async def _listen(server: ControlServer, fleet: Fleet) -> None:
    headers = {"authorization": f"Bearer {fleet.operator}"}
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=None, verify=False, trust_env=False) as client,
        client.stream("GET", "/v1/events?kind=session", headers=headers) as events,
    ):
        async for _ in events.aiter_raw():
            pass


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.control_bench", description=__doc__)
    parser.add_argument("--robots", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=100, help="how many of the robots drive")
    parser.add_argument("--listeners", type=int, default=10, help="streams of events")
    parser.add_argument("--every-s", type=float, default=10.0, help="between two heartbeats of a robot")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--output", type=Path, default=Path("bench/results/control.json"))
    options = parser.parse_args()
    if not 0 <= options.sessions <= options.robots:
        parser.error("--sessions must lie between 0 and --robots")
    return options


def _print(result: Result) -> None:
    load = result.load
    print(f"{load.robots} robots, {load.sessions} of them in sessions, a heartbeat each every {load.every_s:g} s, "
          f"{load.listeners} streams of events, {load.seconds:g} s, SQLite")  # fmt: skip
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(result.answers.items()))
    slowest_ms = max(result.took_ms)
    rows = [
        ("heartbeats", answers),
        ("p50 / p99 / slowest", _joined(result.percentile_ms(50), result.percentile_ms(99), slowest_ms) + " ms"),
        ("with a session, p50 / p99", _joined(*np.percentile(result.with_session_ms or [0.0], (50, 99))) + " ms"),
        ("memory, first / most / last", _joined(result.rss_mb[0], max(result.rss_mb), result.rss_mb[-1]) + " MB"),
        ("of one core", f"{100 * result.cpu_s / load.seconds:.0f} %"),
    ]  # fmt: skip
    for name, value in rows:
        print(f"{name:<28} {value}")
    for miss in result.missed():
        print(f"MISSED: {miss}")


def _joined(*figures: float) -> str:
    return " / ".join(f"{figure:.1f}" for figure in figures)


if __name__ == "__main__":
    sys.exit(main())
