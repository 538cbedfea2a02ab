"""A recording's directory: how it is made, what is removed when there is too much, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_frontend.observing.recording.directory import enforce_cap, prepare_directory
from support.recordings import lines_in, wall_clock
from unit.reflex_frontend.observing.recording.trace_files import NOISE, fill, is_complete, names, total, writer


def test_the_directory_keeps_under_its_cap_and_the_newest_stay(tmp_path: Path) -> None:
    clock, cap = wall_clock(), 256 * 1024
    written = writer(tmp_path, clock, max_total_bytes=cap, max_file_bytes=16 * 1024)
    largest = 0
    for number in range(1000):
        written.add(b'{"kind":"x","n":%d,"noise":"%s"}\n' % (number, os.urandom(600).hex().encode()), clock(), None)
        written.flush()
        largest = max(largest, total(tmp_path))
    written.close()
    assert cap * 0.9 < total(tmp_path) <= largest <= cap
    kept = [line["n"] for line in lines_in(tmp_path, "x")]
    assert kept == list(range(kept[0], 1000))


def test_the_directory_keeps_under_so_many_files_and_the_newest_stay(tmp_path: Path) -> None:
    clock, most = wall_clock(), 64
    written = writer(tmp_path, clock, by="episode", max_files=most, max_open_files=4)
    largest = 0
    for number in range(300):
        clock.now_s += 1
        written.add(b'{"kind":"x","n":%d}\n' % number, clock(), f"episode {number}")
        written.flush()
        largest = max(largest, len(names(tmp_path)))
    written.close()
    assert most * 0.9 < len(names(tmp_path)) <= largest <= most
    kept = sorted(line["n"] for line in lines_in(tmp_path, "x"))
    assert kept == list(range(kept[0], 300))


def test_a_server_makes_room_at_its_start_where_another_left_none(tmp_path: Path) -> None:
    clock, cap = wall_clock(), 256 * 1024
    fill(tmp_path, "11111111", clock, 60)
    assert total(tmp_path) > cap
    written = writer(tmp_path, clock, "22222222", max_total_bytes=cap)
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.flush()
    assert total(tmp_path) <= cap


def test_the_oldest_go_first_whichever_server_wrote_them(tmp_path: Path) -> None:
    clock = wall_clock()
    fill(tmp_path, "22222222", clock, 3)
    fill(tmp_path, "11111111", clock, 3)
    for age_s, path in enumerate(sorted(tmp_path.glob("*_22222222_*")) + sorted(tmp_path.glob("*_11111111_*"))):
        os.utime(path, (1000 + age_s, 1000 + age_s))
    enforce_cap(tmp_path, total(tmp_path) - 1)
    enforce_cap(tmp_path, total(tmp_path) - 1)
    assert len(list(tmp_path.glob("*_22222222_*"))) == 1
    assert len(list(tmp_path.glob("*_11111111_*"))) == 3


def test_what_is_being_written_is_never_removed(tmp_path: Path) -> None:
    clock = wall_clock()
    ours, other = writer(tmp_path, clock), writer(tmp_path, clock, "11111111")
    for written in (ours, other):
        written.add(NOISE + b"\n", clock(), None)
        written.flush()
    assert enforce_cap(tmp_path, 0) == 0
    other.close()
    assert enforce_cap(tmp_path, 0) == 1
    assert names(tmp_path) == ["2027-01-15T08Z_0badcafe_0.jsonl.gz"]


def test_only_files_with_a_recordings_name_are_removed(tmp_path: Path) -> None:
    ours = "2027-01-15T08Z_0badcafe_0.jsonl.gz"
    strangers = ["notes.txt", "weights.jsonl.gz", f"{ours}.bak", f"x{ours}"]
    for name in strangers:
        (tmp_path / name).write_bytes(NOISE)
    (tmp_path / "2027-01-15T08Z_0badcafe_1.jsonl.gz").mkdir()
    (tmp_path / "2027-01-15T08Z_0badcafe_2.jsonl.gz").symlink_to(tmp_path / "notes.txt")
    assert enforce_cap(tmp_path, 0) == 0
    assert len(names(tmp_path)) == len(strangers) + 2


def test_two_servers_share_a_directory(tmp_path: Path) -> None:
    clock, cap = wall_clock(), 512 * 1024
    both = [writer(tmp_path, clock, server_id, max_total_bytes=cap) for server_id in ("11111111", "22222222")]
    for _ in range(100):
        for written in both:
            written.add(b'{"kind":"x","noise":"%s"}\n' % os.urandom(4096).hex().encode(), clock(), None)
            written.flush()
    for written in both:
        written.close()
    assert total(tmp_path) <= cap * 1.1
    for server_id in ("11111111", "22222222"):
        assert list(tmp_path.glob(f"*_{server_id}_*"))
    assert all(is_complete(path) for path in tmp_path.iterdir())


def test_a_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    prepare_directory(tmp_path / "a" / "b")
    prepare_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("below", ["", "more"])
def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="--record: the directory cannot be made"):
        prepare_directory(tmp_path / "file" / below)
