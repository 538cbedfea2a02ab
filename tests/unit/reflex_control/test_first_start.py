"""The first start makes one organisation and one key, however many servers start, and a key that nobody got is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from sqlalchemy import func, select

from reflex_control.first_start import FirstKey, begin, has_begun
from reflex_control.identity.actor import SCOPES
from reflex_control.identity.keys import authenticate
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.store.database import Database
from reflex_control.store.migrating import open_store
from reflex_control.store.tables import api_key, organisation, receipt, signing_key

AT_ONCE = 6


def counts(database: Database) -> list[int]:
    """Of organisations, keys, signing keys and receipts."""
    with database.reading() as connection:
        tables = (organisation, api_key, signing_key, receipt)
        return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


@pytest.mark.slow
def test_servers_that_start_at_once_make_one_organisation_and_hand_out_one_key(store_url: str) -> None:
    start = Barrier(AT_ONCE)
    handed_out: list[str] = []

    def started() -> bool:
        start.wait()
        with closing(open_store(store_url)) as database:
            return begin(Plane(database), handed_out.append)

    with ThreadPoolExecutor(AT_ONCE) as servers:
        made = [server.result() for server in [servers.submit(started) for _ in range(AT_ONCE)]]

    with closing(open_store(store_url)) as database:
        assert counts(database) == [1, 1, 1, 1]
    assert sorted(made) == [*[False] * (AT_ONCE - 1), True]
    assert len(handed_out) == 1


@pytest.mark.slow
def test_a_key_that_could_not_be_handed_out_leaves_the_store_for_another_try(database: Database) -> None:
    def broken(_key: str) -> None:
        raise BrokenPipeError

    plane = Plane(database)
    with pytest.raises(BrokenPipeError):
        begin(plane, broken)

    assert not has_begun(plane)
    keys: list[str] = []
    assert begin(plane, keys.append)
    assert has_begun(plane)
    assert len(keys) == 1
    assert not begin(plane, keys.append)
    assert len(keys) == 1


def test_the_first_key_may_do_everything_and_is_on_the_record(database: Database) -> None:
    plane, keys = Plane(database), list[str]()
    begin(plane, keys.append)

    holder = authenticate(database, keys[0].encode(), plane.clock())
    with plane.reading() as connection:
        (made,) = receipts_of(connection, holder.organisation_id)
    assert (holder.scopes, holder.key_name) == (frozenset(SCOPES), "admin")
    assert (made["kind"], made["reason"]) == ("key_created", f"{holder.key_id}: admin")


def test_what_is_printed_of_it_says_where_it_is_used_and_no_log_shows_it_by_mistake() -> None:
    first = FirstKey("rfx_secret", "http://lab:8100")

    assert first.as_text().splitlines() == [
        "admin key, shown this once: rfx_secret", "next: reflex login --backend-url http://lab:8100 --api-key -",
        "      reflex whoami", "      open http://lab:8100/ and sign in with the key",
    ]  # fmt: skip
    assert first.as_json() == {"key": "rfx_secret", "backendUrl": "http://lab:8100"}
    assert "secret" not in repr(first)
