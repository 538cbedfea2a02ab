"""Stores for the tests: every contract holds on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.keys import make_key, make_organisation
from reflex_control.plane import Plane
from reflex_control.store.database import Database, sqlite_url
from reflex_control.store.migrating import open_store
from support.outside.postgres import Clusters


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield Clusters(stack)


@pytest.fixture(scope="session")
def made_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on SQLite that was made once, to be copied."""
    file = tmp_path_factory.mktemp("store") / "control.db"
    open_store(sqlite_url(file)).close()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of store."""
    return str(request.param)


@pytest.fixture
def store_url(kind: str, tmp_path: Path, clusters: Clusters) -> str:
    """The URL of an empty store."""
    return sqlite_url(tmp_path / "control.db") if kind == "sqlite" else clusters.get().new_database()


@pytest.fixture
def database(kind: str, tmp_path: Path, clusters: Clusters, made_file: Path) -> Iterator[Database]:
    """A store that is ready for use, and empty."""
    with ExitStack() as stack:
        copy = tmp_path / "ready.db"
        if kind == "sqlite":
            url = sqlite_url(Path(shutil.copy(made_file, copy)))
        else:
            url = stack.enter_context(clusters.lent_store())
        yield stack.enter_context(closing(Database(url)))


@dataclass
class Moment:
    """The time of day in milliseconds, which stands until it is moved."""

    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def plane(database: Database, moment: Moment) -> Plane:
    return Plane(database, moment)


@pytest.fixture
def actor(plane: Plane) -> Actor:
    """A key with every scope, of an organisation of its own."""
    return new_actor(plane)


@pytest.fixture
def stranger(plane: Plane) -> Actor:
    """The same of another organisation."""
    return new_actor(plane)


def new_actor(plane: Plane) -> Actor:
    with plane.database.writing() as connection:
        organisation_id = make_organisation(connection, "Tests", plane.clock())
        key = make_key(connection, organisation_id, "everything", SCOPES, plane.clock())
    return Actor(key.id, "everything", organisation_id, frozenset(SCOPES))
