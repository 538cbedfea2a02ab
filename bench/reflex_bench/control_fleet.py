"""A control plane for benchmarks: its store with many robots, each with a key, and the process that serves it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy import insert

from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.ids import new_id
from reflex_control.identity.keys import make_key, make_organisation
from reflex_control.moments import now_ms
from reflex_control.plane import Plane, Writing
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.models import register_model
from reflex_control.store.database import sqlite_url
from reflex_control.store.migrating import open_store
from reflex_control.store.tables import robot, robot_schema

__all__ = ["ControlServer", "Fleet", "control_server", "make_fleet"]

START_TIMEOUT_S: Final = 60.0
HASH: Final = "sha256:" + "5" * 64
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ControlServer:
    """A running `reflex control serve`."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss_mb(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS"))

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass(frozen=True, slots=True)
class Fleet:
    """Robots with their keys, a deployment for all of them, and a key that may everything."""

    robots: list[str]
    keys: list[str]
    deployment_id: str
    operator: str

    async def authorize(self, server: ControlServer, count: int) -> dict[str, str]:
        """Sessions by robot, each asked for by the robot itself; of robots evenly spread over the fleet."""
        pairs, found = list(zip(self.robots, self.keys, strict=True)), {}
        async with httpx.AsyncClient(base_url=server.url, timeout=60, verify=False, trust_env=False) as client:
            for number in range(count):
                robot_id, key = pairs[number * len(pairs) // count]
                wish = {"robotId": robot_id, "deploymentId": self.deployment_id}
                answer = await client.post("/v1/sessions", json=wish, headers={"authorization": f"Bearer {key}"})
                answer.raise_for_status()
                found[robot_id] = str(answer.json()["sessionId"])
        return found


def make_fleet(data: Path, robots: int) -> Fleet:
    """A new store in `data`, written past the API."""
    data.mkdir(mode=0o700)
    with contextlib.closing(open_store(sqlite_url(data / "control.db"))) as database:
        with database.writing() as connection:
            owner = make_organisation(connection, "bench", now_ms())
            operator = make_key(connection, owner, "operator", SCOPES, now_ms())
        actor = Actor(operator.id, "operator", owner, frozenset(SCOPES))
        with Plane(database).writing(actor) as writing:
            made = register_model(writing, "pick", HASH, {"family": "act", "trained": True}, None)
            deployed = create_deployment(writing, "kitchen", made["id"], None, None, "dry_run", None)
            schema_id = new_id("schema")
            writing.connection.execute(
                insert(robot_schema).values(id=schema_id, organisation_id=owner, name="arm", schema={},
                                            limits_hash=HASH, simulation=False, created_at=writing.now_ms)
            )  # fmt: skip
            pairs = [_robot(writing, schema_id, f"arm {number}") for number in range(robots)]
    return Fleet([each for each, _ in pairs], [key for _, key in pairs], deployed["id"], operator.secret)


def _robot(writing: Writing, schema_id: str, name: str) -> tuple[str, str]:
    """Its id and its key."""
    robot_id, owner = new_id("robot"), writing.actor.organisation_id
    writing.connection.execute(
        insert(robot).values(id=robot_id, organisation_id=owner, name=name, robot_schema_id=schema_id,
                             created_at=writing.now_ms, paired_at=writing.now_ms)
    )  # fmt: skip
    return robot_id, make_key(writing.connection, owner, name, (), writing.now_ms, robot_id=robot_id).secret


@contextlib.contextmanager
def control_server(data: Path) -> Iterator[ControlServer]:
    """`reflex control serve` on a store, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "reflex.cli", "control", "serve", "--data", str(data), "--port", str(port)]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_ready(process, port, data / "log")
        yield ControlServer(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if (
                httpx.get(f"http://127.0.0.1:{port}/health", verify=False, trust_env=False).status_code
                == httpx.codes.OK
            ):
                return
        time.sleep(0.05)
    raise RuntimeError(f"the control plane did not become ready:\n{log.read_text()}")
