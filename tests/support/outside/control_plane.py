"""Runs the real `reflex control serve` as users do: a process and a store of its own, on a loopback port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from reflex_control.identity.actor import SCOPES, Scope
from reflex_control.identity.keys import NewKey, make_key, make_organisation
from reflex_control.moments import now_ms
from reflex_control.store.database import Database, sqlite_url
from reflex_control.store.migrating import open_store
from support.forked.starting import start_module
from support.server import free_port, is_healthy
from support.waiting import HANGS_S, wait_until

__all__ = ["ControlProcess", "StoreOf", "Tenant", "prepared_store", "running_control"]


@dataclass(frozen=True)
class StoreOf:
    """Where a control plane keeps everything: SQLite in the folder, or what the URL names."""

    folder: Path
    url: str | None = None
    files: Path | None = None
    """All that is stored, as files; None: the folder."""

    @property
    def options(self) -> tuple[str, ...]:
        return () if self.url is None else ("--db", self.url)


@dataclass(frozen=True)
class Tenant:
    """One organisation of a store that the tests prepared, and keys of it."""

    store: Database
    organisation_id: str

    def key(self, *scopes: Scope, robot_id: str | None = None, expires_at: int | None = None) -> NewKey:
        """A new key, written past the API."""
        with self.store.writing() as connection:
            return make_key(connection, self.organisation_id, "test", scopes, now_ms(), robot_id=robot_id,
                            expires_at=expires_at)  # fmt: skip

    def admin(self) -> NewKey:
        return self.key(*SCOPES)


@dataclass
class ControlProcess:
    """A started control plane."""

    process: subprocess.Popen[bytes]
    base_url: str
    log_path: Path

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """One request, on a connection of its own."""
        headers = {**({} if key is None else {"authorization": f"Bearer {key}"}), **more.pop("headers", {})}
        return httpx.request(method, self.base_url + path, headers=headers, timeout=HANGS_S, verify=False, **more)

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the control plane ended with {self.process.returncode}:\n{self.log}")
        return is_healthy(int(self.base_url.rpartition(":")[2]))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(HANGS_S)


@contextlib.contextmanager
def prepared_store(folder: Path, url: str | None = None) -> Iterator[tuple[Tenant, Tenant]]:
    """Two organisations in a store in `folder`, or at `url`, before a server is started on it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    database = open_store(sqlite_url(folder / "control.db") if url is None else url)
    try:
        with database.writing() as connection:
            tenants = [Tenant(database, make_organisation(connection, name, now_ms())) for name in ("ours", "theirs")]
        yield tenants[0], tenants[1]
    finally:
        database.close()


@contextlib.contextmanager
def running_control(
    folder: Path, *options: str, port: int | None = None, module: str = "reflex.cli"
) -> Iterator[ControlProcess]:
    """`reflex control serve --data folder`, ready; killed at the end if need be. Its log lies in the folder.

    `module` runs the command line: one of the tests' may change something before.
    """
    port = free_port() if port is None else port
    arguments = ["control", "serve", "--data", str(folder), "--port", str(port), *options]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    folder.mkdir(mode=0o700, exist_ok=True)
    log_path = folder / "log"
    with log_path.open("ab") as log:
        process = start_module(module, arguments, output=log, env=env)
    control = ControlProcess(process, f"http://127.0.0.1:{port}", log_path)
    try:
        wait_until(control.is_ready, "the control plane is ready", timeout_s=HANGS_S)
        yield control
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
