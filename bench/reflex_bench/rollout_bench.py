"""`make bench-rollout`: what recording, shadow, keys, sessions, tracing and chunks that go on cost robots' requests.

For each feature three servers run at once on the demo policy: without it, without it once more (how far two equal
servers are apart is the machine's noise), and with it. Prints a table, writes JSON, exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import numpy as np
import uvloop

from reflex.api_keys import KeyEntry, digest_of, new_key
from reflex.model_repository import CONFIG_FILE
from reflex.signed.session_credential import Claims, issue
from reflex.signed.signing import Keyset, SigningKey
from reflex_bench.nonce_policy import set_behaviour, write_nonce_policy
from reflex_bench.observation import act_request, jpeg_base64
from reflex_bench.paired import Ratio, Target, in_turns, ratio_of_medians
from reflex_bench.server import reflex_server

__all__ = ["Feature", "Figures", "features", "measure", "prepare_repository"]

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ("--policy", "demo")
MOST: Final = 1.05
"""The promise: the median within 5 %."""
HUNG_MS: Final = 3_600_000.0
LIFE_MS: Final = 24 * 3_600_000
"""Of a session's credential; longer than any run."""


@dataclass(frozen=True)
class Feature:
    """What is switched on, and what the requests then need. `begin` is called once its server is up."""

    name: str
    options: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    begin: Callable[[], None] = lambda: None
    fields: Mapping[str, object] = field(default_factory=dict)
    """Further ones of the body."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians in milliseconds, and ratios: with over without, and one server without over the other."""

    feature: str
    without_ms: float
    with_ms: float
    ratio: Ratio
    noise: Ratio

    @property
    def ok(self) -> bool:
        return self.ratio.value <= MOST


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="reflex-bench-") as folder, _silent_collector() as collector:
        repository = prepare_repository(Path(folder))
        rows = []
        for feature in features(Path(folder), collector):
            rows.append(measure(repository, feature, options.rounds, options.pace_hz))
            _print(rows[-1])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    shown = {"machine": machine, "rounds": options.rounds, "rows": [asdict(row) | {"ok": row.ok} for row in rows]}
    options.output.write_text(json.dumps(shown, indent=2) + "\n")
    return 0 if all(row.ok for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.rollout_bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=400, help="requests to each server, for each feature")
    parser.add_argument("--pace-hz", type=float, default=20.0, help="requests a second, all servers together")
    parser.add_argument("--output", type=Path, default=Path("bench/results/rollout.json"))
    return parser.parse_args()


def prepare_repository(folder: Path) -> Path:
    """The demo policy, a second export of it, and one that can be made to hang."""
    repository = folder / "models"
    shutil.copytree(ROOT / "model_repository", repository)
    checkpoint = str(ROOT / "export" / "demo_checkpoint")
    named = ("--name", "again", "--embodiment", "franka", "--untrained", "--no-check")
    command = [sys.executable, "-m", "reflex.cli", "export", checkpoint, "--repository", str(repository), *named]
    subprocess.run(command, check=True, capture_output=True)
    write_nonce_policy(repository, "hung", control_file=folder / "hung.json")
    return repository


def features(folder: Path, collector: str) -> list[Feature]:
    key, key_file = new_key(), folder / "keys"
    key_file.write_text(KeyEntry("bench", digest_of(key.encode())).as_line())
    return [
        Feature("recording, image hashes", ("--record", str(folder / "hash"))),
        Feature("recording, whole images", ("--record", str(folder / "full"), "--record-images", "full")),
        Feature("shadow", ("--shadow", "again")),
        Feature(
            "shadow that hangs",
            ("--shadow", "hung"),
            begin=lambda: set_behaviour(folder / "hung.json", delay_ms=HUNG_MS),
        ),
        Feature("API keys", ("--api-keys", str(key_file)), {"authorization": f"Bearer {key}"}),
        _sessions(folder),
        Feature("tracing", ("--otel-endpoint", collector)),
        Feature("real-time chunking", ("--rtc",), fields={"episode_id": "bench", "executed_steps": 10}),
    ]


def _sessions(folder: Path) -> Feature:
    key, keyset_file = SigningKey.generate("bench"), folder / "keyset.json"
    keyset_file.write_text(json.dumps(Keyset.of([key.as_public()]).as_json()))
    policy = json.loads((ROOT / "model_repository" / "demo" / CONFIG_FILE).read_text())
    now_ms = int(time.time() * 1000)
    claims = Claims(
        session_id="sess_bench", organisation_id="org_bench", robot_id="robot_bench", deployment_id="deploy_bench",
        model_hash=policy["policy_hash"], model_version="demo@bench", mode="dry_run", calibration_id=None,
        limits_hash=None, issued_at_ms=now_ms, expires_at_ms=now_ms + LIFE_MS,
    )  # fmt: skip
    return Feature("sessions", ("--session-key", str(keyset_file)), {"authorization": f"Bearer {issue(claims, key)}"})


def measure(repository: Path, feature: Feature, rounds: int, pace_hz: float) -> Figures:
    """Start the three servers, ask them in turns, stop them."""
    image = jpeg_base64()
    with (
        reflex_server(repository, *DEMO) as without,
        reflex_server(repository, *DEMO) as again,
        reflex_server(repository, *DEMO, *feature.options) as with_it,
    ):
        feature.begin()
        targets = [
            Target("without", without.port, act_request(0.25, image)),
            Target("again", again.port, act_request(0.25, image)),
            Target("with", with_it.port, act_request(0.25, image, headers=feature.headers, fields=feature.fields)),
        ]
        seconds = uvloop.run(in_turns(targets, rounds, pace_hz))
    return Figures(
        feature.name,
        1e3 * float(np.median(seconds["without"])),
        1e3 * float(np.median(seconds["with"])),
        ratio_of_medians(seconds["with"], seconds["without"]),
        ratio_of_medians(seconds["again"], seconds["without"]),
    )


@contextlib.contextmanager
def _silent_collector() -> Iterator[str]:
    """Takes whatever is posted; its URL."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it overrides
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _print(row: Figures) -> None:
    def shown(ratio: Ratio) -> str:
        return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"

    medians = f"{row.without_ms:7.2f} {row.with_ms:7.2f} ms"
    verdict = "ok" if row.ok else "MISSED"
    print(f"{row.feature:<26} {medians}  {shown(row.ratio)}  noise {shown(row.noise)}  {verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
