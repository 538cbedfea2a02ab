"""The stores on PostgreSQL that tests hand on: each test finds its own empty, and as it was made."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import text

from reflex_control.identity.keys import make_organisation
from reflex_control.store.database import Database
from reflex_control.store.migrating import open_store
from support.outside.postgres import Clusters


def rows(url: str) -> dict[str, int]:
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with closing(Database(url)) as database, database.writing() as connection:
        names = [name for (name,) in connection.execute(text(tables))]
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}


def use(url: str, *statements: str) -> None:
    with closing(Database(url)) as database, database.writing() as connection:
        make_organisation(connection, "Tests", 1)
        for statement in statements:
            connection.execute(text(statement))


def test_a_store_goes_to_the_next_test_empty_and_counts_from_the_beginning(clusters: Clusters) -> None:
    counts = "SELECT nextval('event_seq_seq')"
    with clusters.lent_store() as first:
        use(first, counts, counts)
        assert rows(first)["organisation"] == 1
    with clusters.lent_store() as second:
        assert second == first
        assert {name: count for name, count in rows(second).items() if count} == {"alembic_version": 1}
        with closing(open_store(second)) as database, database.writing() as connection:
            assert connection.execute(text(counts)).scalar_one() == 1


def test_two_at_once_are_two(clusters: Clusters) -> None:
    with clusters.lent_store() as first, clusters.lent_store() as second:
        use(first)
        assert first != second
        assert rows(second)["organisation"] == 0


def test_a_store_with_other_tables_or_columns_goes_to_nobody(clusters: Clusters) -> None:
    for change in ("CREATE TABLE other (id INTEGER)", "ALTER TABLE robot ADD COLUMN other INTEGER", "DROP TABLE event"):
        with clusters.lent_store() as changed:
            use(changed, change)
        with clusters.lent_store() as fresh:
            assert fresh != changed
            assert rows(fresh)["organisation"] == 0


def test_a_store_that_somebody_holds_at_its_end_goes_to_nobody(clusters: Clusters) -> None:
    with clusters.lent_store() as held:
        use(held)
        with closing(Database(held)) as other, other.writing() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                                    "current_database() AND pid <> pg_backend_pid()"))  # fmt: skip
    with clusters.lent_store() as fresh:
        assert fresh != held
