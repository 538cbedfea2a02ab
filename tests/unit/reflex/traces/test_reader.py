from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.traces import reader as reader_module
from reflex.traces.reader import Losses, TraceReader, trace_files
from reflex.traces.schema import DroppedRecord, RecordLine, ShadowRecord, TraceVersionError, to_line
from support.traces import header, policy, request, write_trace, write_unfinished

# In a process of its own: how many files this one has open is the other tests' doing.
READING = """
import json, resource, sys
from pathlib import Path
from reflex.traces.reader import TraceReader

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print(json.dumps([entry.record.record_seq for entry in TraceReader(Path(sys.argv[1]))]))
"""
HOUR = "2026-11-21T14Z_0123abcd_1.jsonl.gz"


def sequence(path: Path) -> tuple[list[int], Losses]:
    reader = TraceReader(path)
    return [entry.record.record_seq for entry in reader], reader.losses


def thousand(path: Path) -> Path:
    batches: list[list[RecordLine]] = [[header()]]
    batches += [[request(seq)] for seq in range(1, 101)]
    return write_unfinished(path, batches)


def test_a_closed_file_is_read_whole(tmp_path: Path) -> None:
    path = write_trace(tmp_path / HOUR, [header(), *(request(seq) for seq in range(1, 6))])

    assert sequence(path) == ([1, 2, 3, 4, 5], Losses())


def test_of_a_killed_writer_every_flushed_line_is_read(tmp_path: Path) -> None:
    assert sequence(thousand(tmp_path / HOUR)) == (list(range(1, 101)), Losses())


def test_a_file_cut_at_any_byte_loses_at_most_the_line_that_was_cut(tmp_path: Path) -> None:
    batches: list[list[RecordLine]] = [[header()]]
    batches += [[request(seq)] for seq in range(1, 6)]
    whole = write_unfinished(tmp_path / HOUR, batches).read_bytes()
    ends = [
        len(write_unfinished(tmp_path / "cut.gz", batches[: count + 1]).read_bytes()) for count in range(len(batches))
    ]
    for cut in range(ends[0], len(whole), 7):
        (tmp_path / HOUR).write_bytes(whole[:cut])
        seqs, losses = sequence(tmp_path / HOUR)
        complete = sum(end <= cut for end in ends) - 1
        assert complete <= len(seqs) <= complete + 1
        assert seqs == list(range(1, len(seqs) + 1))
        assert losses.torn_lines <= 1
        assert not losses.damaged_lines
        assert not losses.damaged_blocks


@pytest.mark.slow
@pytest.mark.parametrize("garbage", [bytes(5000), b"\xff" * 5000, b"not gzip at all" * 100, b"\x1f\x8b\x08rubbish"])
def test_garbage_behind_the_last_flush_costs_nothing_before_it(tmp_path: Path, garbage: bytes) -> None:
    path = thousand(tmp_path / HOUR)
    path.write_bytes(path.read_bytes() + garbage)

    seqs, losses = sequence(path)

    assert seqs == list(range(1, 101))
    assert losses.any


def test_a_broken_block_costs_what_lies_behind_it_up_to_the_next_member(tmp_path: Path) -> None:
    first = bytearray(thousand(tmp_path / HOUR).read_bytes())
    first[len(first) // 2 : len(first) // 2 + 40] = bytes(40)
    second = write_trace(tmp_path / "more.gz", [header(), request(101), request(102)]).read_bytes()
    (tmp_path / HOUR).write_bytes(bytes(first) + second)

    seqs, losses = sequence(tmp_path / HOUR)

    assert seqs[-2:] == [101, 102]
    assert seqs[:30] == list(range(1, 31))
    assert losses.damaged_blocks >= 1


def test_several_members_are_one_file(tmp_path: Path) -> None:
    first = write_trace(tmp_path / "1.gz", [header(), request(1)]).read_bytes()
    second = write_trace(tmp_path / "2.gz", [request(2), request(3)]).read_bytes()
    (tmp_path / HOUR).write_bytes(first + second)

    assert sequence(tmp_path / HOUR) == ([1, 2, 3], Losses())


@pytest.mark.slow
def test_a_member_after_a_torn_one_is_read(tmp_path: Path) -> None:
    """As when a server of the same id starts again and appends."""
    torn = thousand(tmp_path / HOUR).read_bytes()
    second = write_trace(tmp_path / "2.gz", [header(), request(101)]).read_bytes()
    (tmp_path / HOUR).write_bytes(torn + second)

    assert sequence(tmp_path / HOUR)[0] == list(range(1, 102))


def test_damaged_lines_in_the_middle_are_counted_and_skipped(tmp_path: Path) -> None:
    lines = [to_line(header()), to_line(request(1)), b'{"kind":"requ\n', b"\xff\xfe\n", to_line(request(2))]
    with gzip.open(tmp_path / HOUR, "wb") as file:
        file.writelines(lines)

    assert sequence(tmp_path / HOUR) == ([1, 2], Losses(damaged_lines=2))


def test_records_without_a_header_are_counted_and_skipped(tmp_path: Path) -> None:
    path = write_trace(tmp_path / HOUR, [request(1), request(2), header(), request(3)])

    assert sequence(path) == ([3], Losses(damaged_lines=2))


def test_what_the_server_dropped_is_counted(tmp_path: Path) -> None:
    path = write_trace(tmp_path / HOUR, [header(), request(1), DroppedRecord(4), DroppedRecord(3), request(9)])

    assert sequence(path) == ([1, 9], Losses(dropped=7))


def test_the_latest_header_holds(tmp_path: Path) -> None:
    newer = header({"a": policy("newer")})
    path = write_trace(tmp_path / HOUR, [header(), request(1), newer, request(2)])

    assert [entry.header.policies["a"].policy_id for entry in TraceReader(path)] == ["demo", "newer"]


def test_rotated_files_follow_each_other_by_number_and_not_by_letter(tmp_path: Path) -> None:
    for rotation in (10, 2, 1, 9):
        write_trace(tmp_path / f"2026-11-21T14Z_0123abcd_{rotation}.jsonl.gz", [header(), request(rotation)])
    write_trace(tmp_path / "2026-11-21T13Z_0123abcd_1.jsonl.gz", [header(), request(100, at=0.0)])

    assert sequence(tmp_path)[0] == [100, 1, 2, 9, 10]


def test_servers_and_episodes_are_merged_by_time(tmp_path: Path) -> None:
    for index, name in enumerate(("episode-aa_0123abcd_1", "episode-bb_0123abcd_1", "2026-11-21T14Z_99_1")):
        records = [request(seq) for seq in range(index + 1, 60, 3)]
        write_trace(tmp_path / f"{name}.jsonl.gz", [header(), *records])

    assert sequence(tmp_path)[0] == list(range(1, 60))


def test_a_shadow_line_stays_behind_its_request(tmp_path: Path) -> None:
    shadow = ShadowRecord(record_seq=1, policy="new@1")
    write_trace(tmp_path / "episode-aa_s_1.jsonl.gz", [header(), request(1), shadow, request(4)])
    write_trace(tmp_path / "episode-bb_s_1.jsonl.gz", [header(), request(2), request(3)])

    assert sequence(tmp_path)[0] == [1, 1, 2, 3, 4]


@pytest.mark.slow
def test_five_hundred_episodes_one_after_another_need_few_open_files(tmp_path: Path) -> None:
    for episode in range(500):
        records = [request(2 * episode + 1), request(2 * episode + 2)]
        write_trace(tmp_path / f"episode-{episode:016x}_s_1.jsonl.gz", [header(), *records])

    read = subprocess.run([sys.executable, "-c", READING, tmp_path], capture_output=True, text=True, check=True)

    assert json.loads(read.stdout) == list(range(1, 1001))


def test_more_streams_at_once_than_may_be_open_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MAX_OPEN", 2)
    for episode in range(9):
        write_trace(tmp_path / f"episode-{episode}_s_1.jsonl.gz", [header(), request(1), request(100)])

    assert sorted(sequence(tmp_path)[0]) == [1] * 9 + [100] * 9


@pytest.mark.slow
def test_a_bomb_of_one_long_line_is_skipped_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reflex.traces.lines.MAX_LINE_BYTES", 1_000_000)
    with gzip.open(tmp_path / HOUR, "wb") as file:
        file.write(to_line(header()))
        for piece in itertools.repeat(b" " * 1_000_000, 50):
            file.write(piece)
        file.write(b"\n" + to_line(request(1)))

    assert sequence(tmp_path / HOUR) == ([1], Losses(damaged_lines=1))


def test_plain_text_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "2026-11-21T14Z_0123abcd_1.jsonl"
    path.write_bytes(to_line(header()) + to_line(request(1)))

    assert sequence(tmp_path) == ([1], Losses())


def test_another_schema_version_names_the_file(tmp_path: Path) -> None:
    with gzip.open(tmp_path / HOUR, "wb") as file:
        file.write(to_line(header()).replace(b'"schema_version":1', b'"schema_version":9'))

    with pytest.raises(TraceVersionError, match=f"{HOUR}.*version 9"):
        sequence(tmp_path)


@pytest.mark.parametrize(("name", "words"), [("", "holds no recording"), ("nowhere", "is not there")])
def test_nothing_to_read_says_how_recordings_are_made(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(SetupError, match=f"{words}.*--record DIR"):
        sequence(tmp_path / name)


def test_an_empty_file_holds_nothing_and_lost_nothing(tmp_path: Path) -> None:
    (tmp_path / HOUR).write_bytes(b"")

    assert sequence(tmp_path) == ([], Losses())


def test_what_is_there_and_no_file_of_recordings_is_not_called_absent() -> None:
    with pytest.raises(SetupError, match="/dev/null is no file or folder of recordings"):
        trace_files(Path("/dev/null"))
