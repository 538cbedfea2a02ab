"""A backup is whole while the store is written to, and takes the place of a store whole or not at all."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from reflex.errors import SetupError
from reflex_control.store.backup import back_up, back_up_into, restore, restore_sent, send_backup
from reflex_control.store.database import Database, sqlite_url
from reflex_control.store.migrating import open_store
from reflex_control.store.tables import organisation


def add(store: Database, number: int) -> None:
    with store.writing() as connection:
        connection.execute(insert(organisation).values(id=f"org_{number}", name="", created_at=0))


def count(file: Path) -> int:
    with closing(open_store(sqlite_url(file))) as store, store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(organisation)) or 0


@pytest.fixture
def store_file(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def store(store_file: Path) -> Iterator[Database]:
    with closing(open_store(sqlite_url(store_file))) as opened:
        yield opened


def test_a_backup_of_a_store_in_use_is_one_private_file(store: Database, store_file: Path, tmp_path: Path) -> None:
    add(store, 1)
    backup = tmp_path / "backup.db"

    back_up(store_file, backup)
    add(store, 2)

    assert backup.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.glob("*backup*")) == ["backup.db"]
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT count(*) FROM organisation").fetchone() == (1,)


def test_a_restored_store_is_what_the_backup_was(store: Database, store_file: Path, tmp_path: Path) -> None:
    add(store, 1)
    back_up(store_file, tmp_path / "backup.db")
    add(store, 2)
    store.close()

    restore(tmp_path / "backup.db", store_file)

    assert count(store_file) == 1


def test_a_log_of_the_store_before_is_not_read_into_the_one_that_is_restored(
    store: Database, store_file: Path, tmp_path: Path
) -> None:
    add(store, 1)
    back_up(store_file, tmp_path / "backup.db")
    store.close()
    left = [Path(f"{store_file}{suffix}") for suffix in ("-wal", "-shm")]
    for file in left:
        file.write_bytes(b"of a server that was killed")

    restore(tmp_path / "backup.db", store_file)

    assert [file for file in left if file.exists()] == []
    assert count(store_file) == 1


def test_a_copy_goes_through_a_stream_and_leaves_nothing_beside(
    store: Database, store_file: Path, tmp_path: Path
) -> None:
    stream, restored = io.BytesIO(), tmp_path / "restored.db"
    add(store, 1)
    send_backup(store_file, stream)
    add(store, 2)

    restore_sent(io.BytesIO(stream.getvalue()), restored)

    assert count(restored) == 1
    assert restored.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SetupError):
        restore_sent(io.BytesIO(stream.getvalue()[:5_000]), restored)
    assert count(restored) == 1
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("content", [b"", b"no store at all", b"SQLite format 3\x00" + b"\xff" * 4096])
def test_what_is_no_backup_leaves_the_store_as_it_is(
    store: Database, store_file: Path, tmp_path: Path, content: bytes
) -> None:
    add(store, 1)
    store.close()
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(content)

    with pytest.raises(SetupError):
        restore(wrong, store_file)

    assert count(store_file) == 1
    assert not list(tmp_path.glob(".control.db-*"))


@pytest.mark.parametrize("damaged", [slice(100, 3_000), slice(8_192, None), slice(4_096, 8_192)])
def test_a_backup_with_damaged_pages_leaves_the_store_as_it_is(
    store: Database, store_file: Path, tmp_path: Path, damaged: slice
) -> None:
    backup = tmp_path / "backup.db"
    add(store, 1)
    back_up(store_file, backup)
    content = bytearray(backup.read_bytes())
    content[damaged] = b"\xff" * len(content[damaged])
    backup.write_bytes(content)

    with pytest.raises(SetupError, match="store of a control plane"):
        restore(backup, store_file)
    assert count(store_file) == 1


def test_a_backup_that_is_not_there_and_a_place_that_cannot_be_written_are_told(
    store: Database, store_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="no backup"):
        restore(tmp_path / "none.db", store_file)
    with pytest.raises(SetupError, match="cannot be written"):
        back_up(store_file, tmp_path / "no folder" / "backup.db")
    with pytest.raises(SetupError, match="no store"):
        back_up(tmp_path / "none.db", tmp_path / "backup.db")


def test_of_backups_in_a_folder_the_newest_stay_and_nothing_else_is_touched(
    store: Database, store_file: Path, tmp_path: Path
) -> None:
    (folder := tmp_path / "backups").mkdir()
    for name in ("notes.txt", "control-by-hand.db", "control-20200101.db"):
        (folder / name).write_text("kept")
    made = []
    for number in range(4):
        add(store, number)
        made.append(back_up_into(store_file, folder, 2, 1_700_000_000_000 + number))

    assert sorted(folder.glob("control-*Z.db")) == made[2:]
    assert made[-1].name == "control-20231114T221320003Z.db"
    assert [count(each) for each in made[2:]] == [3, 4]
    assert len(list(folder.iterdir())) == 5


def test_a_backup_that_was_just_made_stays_also_where_the_clock_went_back(
    store: Database, store_file: Path, tmp_path: Path
) -> None:
    (folder := tmp_path / "backups").mkdir()
    made = [back_up_into(store_file, folder, 2, at_ms) for at_ms in (5_000, 6_000, 1_000, 2_000)]
    assert sorted(folder.iterdir()) == [made[3], made[1]]

    add(store, 1)
    newest = back_up_into(store_file, folder, 1, 0)
    assert list(folder.iterdir()) == [newest]
    assert count(newest) == 1


def test_a_folder_of_backups_that_is_not_there_is_told(store: Database, store_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no folder"):
        back_up_into(store_file, tmp_path / "none", 2, 0)
