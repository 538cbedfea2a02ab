"""A store that fails while it is served is a 503 that says when to come back, /health tells of it, and it passes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from support.outside.control_plane import ControlProcess, prepared_store, running_control
from support.outside.postgres import Postgres, postgres_programs, postgres_running
from support.skips import skip_for_want_of
from support.waiting import wait_until

pytestmark = pytest.mark.slow

UNLIMITED = resource.RLIM_INFINITY
KEY_BODY = {"name": "written", "scopes": ["read"]}


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    key: str

    def write(self) -> httpx.Response:
        return self.control.ask("POST", "/v1/keys", self.key, json=KEY_BODY)

    def read(self) -> httpx.Response:
        return self.control.ask("GET", "/v1/models", self.key)

    def health(self) -> httpx.Response:
        return self.control.ask("GET", "/health")

    def is_well(self) -> bool:
        return self.health().status_code == 200


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Scene]:
    with prepared_store(tmp_path / "data") as (ours, _):
        key = ours.admin().secret
    with running_control(tmp_path / "data") as control:
        yield Scene(control, key)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """One of its own: it is stopped."""
    programs = postgres_programs()
    if programs is None:
        skip_for_want_of("PostgreSQL")
    with postgres_running(programs) as running:
        yield running


def assert_refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert set(answer.json()) == {"error", "message", "request_id", "retry_after_s"}


def test_a_disk_that_takes_nothing_more_is_told_and_passes(on_sqlite: Scene, tmp_path: Path) -> None:
    pid, store = on_sqlite.control.process.pid, tmp_path / "data" / "control.db"
    for _ in range(40):  # the log of the process must have room below the limit, else nobody learns why
        assert on_sqlite.write().status_code == 201
    # Half of what is written there already: no write is small enough to find its room at the end.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (Path(f"{store}-wal").stat().st_size // 2, UNLIMITED))

    assert_refused(on_sqlite.write())
    assert on_sqlite.read().status_code == 200
    told = on_sqlite.health()
    assert (told.status_code, told.json()["status"], told.json()["error"]) == (503, "degraded", "store_unavailable")
    assert told.json()["reason"].startswith("nothing can be written: ")
    assert int(told.headers["retry-after"]) >= 1

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))
    wait_until(on_sqlite.is_well, "it is noticed that the disk takes something again, though nobody writes")
    assert on_sqlite.write().status_code == 201
    assert on_sqlite.key not in on_sqlite.control.log


def test_a_database_that_is_stopped_is_told_and_passes(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    with prepared_store(tmp_path / "data", url) as (ours, _):
        key = ours.admin().secret
    with running_control(tmp_path / "data", "--db", url) as control:
        scene = Scene(control, key)
        assert scene.write().status_code == 201
        postgres.stop()

        for answer in (scene.write(), scene.read(), scene.write()):
            assert_refused(answer)
        told = scene.health()
        assert (told.status_code, told.json()["status"]) == (503, "degraded")
        assert control.ask("GET", "/health/live").status_code == 200
        assert control.ask("GET", "/metrics").status_code == 200

        postgres.start()
        wait_until(scene.is_well, "the database is back")
        assert scene.write().status_code == 201
        assert len(control.ask("GET", "/v1/keys", key).json()["keys"]) == 3
        assert "Traceback" not in control.log
