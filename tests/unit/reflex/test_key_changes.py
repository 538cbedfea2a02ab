"""A key that is taken back is gone, and nothing else of the file is touched or lost."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from reflex.api_keys import KeyEntry, add_entry, digest_of
from reflex.errors import SetupError
from reflex.key_changes import changing_alone, read_entries, revoke


def entry(name: str, key: str) -> KeyEntry:
    return KeyEntry(name, digest_of(key.encode()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    kept, gone = entry("arm-2", "two").as_line(), entry("arm-1", "one").as_line().rstrip("\n")
    path.write_text(f"# arm-1 is old\r\n\n{gone}  # until May\n  {kept}# {gone}\n")
    return path


def test_only_the_lines_of_its_name_go_and_comments_stay(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)

    assert revoke(file, "arm-1") == 1
    assert file.read_bytes() == b"".join([*lines[:2], *lines[3:]])


def test_owner_and_mode_stay_and_nothing_lies_beside_it(file: Path) -> None:
    file.chmod(0o640)
    revoke(file, "arm-1")

    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    revoke(link, "arm-1")

    assert link.is_symlink()
    assert [each.name for each in read_entries(file)] == ["arm-2"]


def test_the_newest_may_be_kept(file: Path) -> None:
    add_entry(file, entry("arm-1", "three"))
    add_entry(file, entry("arm-1", "four"))

    assert revoke(file, "arm-1", keep_newest=True) == 2
    assert read_entries(file) == (entry("arm-2", "two"), entry("arm-1", "four"))
    assert revoke(file, "arm-1", keep_newest=True) == 0


def test_a_damaged_file_is_left_as_it_is_and_its_line_named(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"arm-1 nonsense\n")
    before = file.read_bytes()

    with pytest.raises(SetupError, match="keys: line 6"):
        revoke(file, "arm-1")
    assert file.read_bytes() == before


def test_keys_that_are_made_and_taken_back_at_once_are_none_of_them_lost(file: Path) -> None:
    def add(number: int) -> None:
        with changing_alone(file):
            add_entry(file, entry(f"new-{number}", str(number)))

    for number in range(8):
        add_entry(file, entry(f"old-{number}", f"old {number}"))
    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    threads += [threading.Thread(target=revoke, args=(file, f"old-{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {each.name for each in read_entries(file)} == {"arm-1", "arm-2", *(f"new-{number}" for number in range(8))}
