"""`make bench`: the request path against Triton called directly, in one run on one machine.

Prints a table, writes JSON, and exits 1 when a target of docs/benchmarks.md is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import uvloop

from reflex_bench.loads import Call, Row, closed_loop, open_loop, percentile, sequential
from reflex_bench.observation import act_request, jpeg_base64
from reflex_bench.openpi_bench import openpi_rows
from reflex_bench.request_path.calls import act_calls, direct_calls, get_call
from reflex_bench.request_path.clients import client_rows
from reflex_bench.request_path.crossings import crossings_rows
from reflex_bench.server import Served, nonce_server, older_nonce_server

ROUNDS = 5
CLIENTS = (8, 32)
SHARES = (0.5, 0.9, 2.0)
SLOW_MODEL_MS = 100.0


def main() -> int:
    options = _options()
    rows: list[Row] = []
    is_whole = not (options.openpi or options.clients or options.crossings or options.before)
    with nonce_server() as served:
        if options.openpi:
            rows += openpi_rows(served.port)
        elif options.clients:
            rows += uvloop.run(client_rows(served, options.seconds))
        else:
            rows += _against_another(served, options)
            if is_whole:
                uvloop.run(_measure_fast_model(served, options.seconds, rows))
    if is_whole:
        with nonce_server(delay_ms=SLOW_MODEL_MS) as served:
            uvloop.run(_measure_slow_model(served, options.seconds, rows))
    _print(rows)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    options.output.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0 if all(row.ok is not False for row in rows) else 1


def _against_another(served: Served, options: argparse.Namespace) -> list[Row]:
    if options.before is not None:
        with older_nonce_server(options.before) as older:
            return uvloop.run(crossings_rows(older, served, options.seconds, ("before", "now")))
    with nonce_server(env={"REFLEX_KEEP_ENSEMBLES": "1"}) as kept:
        return uvloop.run(crossings_rows(kept, served, options.seconds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each throughput and open-loop run")
    parser.add_argument("--openpi", action="store_true", help="what openpi's protocol adds to the model, and no more")
    parser.add_argument("--crossings", action="store_true", help="one process for a policy against three, and no more")
    parser.add_argument("--clients", action="store_true", help="three gRPC clients of Triton, and no more")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="against an older version, and no more")
    parser.add_argument("--output", type=Path, default=Path("bench/results/serve.json"))
    return parser.parse_args()


async def _measure_fast_model(served: Served, seconds: float, rows: list[Row]) -> None:
    image = jpeg_base64()
    act = await act_calls(served, image, max(CLIENTS))
    direct, close = direct_calls(served, image, max(CLIENTS))
    health = await get_call(served, "/health")
    await closed_loop(act[:8], 1.0)  # warm up both paths
    await closed_loop(direct[:8], 1.0)
    rows += await _latencies(act[0], direct[0], health)
    rows += await _throughputs(act, direct, seconds)
    rows += await _open_loops(served, act_request(1.0, image, 1000), rows, seconds)
    await close()


async def _latencies(act: Call, direct: Call, health: Call) -> list[Row]:
    """One client; the paths take turns, so that the machine's moods meet all of them."""
    times: dict[str, list[float]] = {"act": [], "direct": [], "health": []}
    for _ in range(ROUNDS):
        for name, call in (("act", act), ("direct", direct), ("health", health)):
            times[name] += await sequential(call, 400)
    ms = {name: (1e3 * percentile(some, 0.5), 1e3 * percentile(some, 0.99)) for name, some in times.items()}
    ratio, above = ms["act"][0] / ms["direct"][0], ms["act"][0] - ms["direct"][0]
    return [
        Row("direct gRPC p50", ms["direct"][0], "ms"),
        Row("direct gRPC p99", ms["direct"][1], "ms"),
        Row("/act p50", ms["act"][0], "ms"),
        Row("/act p99", ms["act"][1], "ms"),
        Row("/act p50 over direct p50", ratio, "x", "<= 1.9", ratio <= 1.9),
        Row("/act p50 above direct p50", above, "ms", "<= 1.0", above <= 1.0),
        Row("/health p50", ms["health"][0], "ms"),
        Row("/health p99", ms["health"][1], "ms"),
    ]


async def _throughputs(act: list[Call], direct: list[Call], seconds: float) -> list[Row]:
    rows = []
    rates: dict[tuple[str, int], float] = {}
    for clients in CLIENTS:
        for name, calls in (("direct gRPC", direct), ("/act", act)):
            rate, latencies = await closed_loop(calls[:clients], seconds)
            rates[name, clients] = rate
            rows.append(Row(f"{name}, {clients} clients", rate, "/s"))
            rows.append(Row(f"{name}, {clients} clients p99", 1e3 * percentile(latencies, 0.99), "ms"))
    share = rates["/act", 8] / rates["direct gRPC", 8]
    return [*rows, Row("/act rate over direct rate, 8 clients", share, "x", ">= 0.5", share >= 0.5)]


async def _open_loops(served: Served, request: bytes, so_far: list[Row], seconds: float) -> list[Row]:
    saturated = max(row.value for row in so_far if row.what in ("/act, 8 clients", "/act, 32 clients"))
    rows = []
    for share in SHARES:
        run = await open_loop(served.port, request, share * saturated, seconds, connections=256)
        name = f"open loop at {share:.0%}"
        goodput = run.goodput_per_s / saturated
        is_overload = share > 1
        rows.append(Row(f"{name}: p99 of the 200s", 1e3 * percentile(run.succeeded, 0.99), "ms"))
        rows.append(
            Row(
                f"{name}: goodput over saturated rate",
                goodput,
                "x",
                *((">= 0.9", goodput >= 0.9) if is_overload else ()),
            )
        )
        if is_overload:
            refusal_ms = 1e3 * percentile(run.refused, 0.5)
            rows.append(Row(f"{name}: refusals", len(run.refused), ""))
            rows.append(Row(f"{name}: refusal p50", refusal_ms, "ms", "< 10", refusal_ms < 10))
            rows.append(Row(f"{name}: refusal p99", 1e3 * percentile(run.refused, 0.99), "ms"))
        strange = sum(run.other.values())
        rows.append(Row(f"{name}: neither 200 nor 503 + Retry-After", strange, "", "0", strange == 0))
        rows.append(Row(f"{name}: not sent, load client late", run.unsent, ""))
        await asyncio.sleep(1.0)
    return rows


async def _measure_slow_model(served: Served, seconds: float, rows: list[Row]) -> None:
    act = await act_calls(served, jpeg_base64(), 8)
    health = await get_call(served, "/health")
    load = asyncio.create_task(closed_loop(act, max(seconds, 3.0)))
    await asyncio.sleep(0.5)
    latencies = []
    while not load.done():
        latencies += await sequential(health, 1)
        await asyncio.sleep(0.005)
    rate, _ = await load
    p99 = 1e3 * percentile(latencies, 0.99)
    rows.append(Row("100 ms model, 8 clients", rate, "/s"))
    rows.append(Row("/health p99 beside them", p99, "ms", "< 20", p99 < 20))


def _print(rows: list[Row]) -> None:
    for row in rows:
        verdict = "" if row.ok is None else ("ok" if row.ok else "MISSED")
        print(f"{row.what:<52} {row.value:>10.3f} {row.unit:<3} {row.target:>7} {verdict}")


if __name__ == "__main__":
    sys.exit(main())
