"""Which file a line is in, and when files end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from support.leftovers import leaves_no_descriptor
from support.recordings import lines_in, raw_lines, trace_header, wall_clock
from unit.reflex_frontend.observing.recording.trace_files import (
    HOUR_S,
    NOISE,
    is_complete,
    largest_file,
    names,
    writer,
)


def test_a_file_has_its_hour_its_server_and_its_number(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    for _ in range(3):
        written.add(b'{"kind":"x"}\n', clock(), "episode")
        written.flush()
        clock.now_s += HOUR_S
    written.close()

    assert names(tmp_path) == [f"2027-01-15T{8 + hour:02}Z_0badcafe_{hour}.jsonl.gz" for hour in range(3)]
    assert [line["kind"] for line in lines_in(tmp_path)] == ["header", "x"] * 3


def test_a_line_belongs_to_the_hour_of_its_answer_and_not_of_its_writing(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    written.add(b'{"kind":"x"}\n', clock() - 0.05, None)
    written.close()
    assert names(tmp_path) == ["2027-01-15T07Z_0badcafe_0.jsonl.gz"]


def test_the_last_hours_file_is_closed_without_waiting_for_the_next_line(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    written.add(b'{"kind":"x"}\n', clock(), None)
    clock.now_s += HOUR_S
    written.flush()
    assert is_complete(next(tmp_path.iterdir()))


def test_a_file_that_is_long_is_followed_by_another(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, max_file_bytes=16 * 1024)
    for number in range(20):
        written.add(b'{"kind":"x","n":%d,"noise":"%s"}\n' % (number, os.urandom(4096).hex().encode()), clock(), None)
        written.flush()
    written.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) >= 5
    assert max(sizes) < 16 * 1024 + 8 * 1024
    assert sum(sizes) == written.bytes_written
    assert [line["n"] for line in lines_in(tmp_path, "x")] == list(range(20))


def test_every_line_is_readable_after_each_flush_and_the_end_is_marked_at_the_close(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    for number in range(5):
        written.add(b'{"kind":"x","n":%d}\n' % number, clock(), None)
        written.flush()
        assert [line["n"] for line in lines_in(tmp_path, "x")] == list(range(number + 1))
    path = next(tmp_path.iterdir())
    assert not is_complete(path)
    written.close()
    assert is_complete(path)


def test_a_flush_without_lines_writes_nothing(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.flush()
    before = written.bytes_written
    for _ in range(10):
        written.flush()
    assert written.bytes_written == before == next(tmp_path.iterdir()).stat().st_size


def test_another_policy_puts_its_header_between_the_lines_and_first_into_new_files(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.replace_header(trace_header(model_version="new@1"))
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.flush()
    clock.now_s += HOUR_S
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.close()
    kinds = [line["policies"]["a"]["model_version"] if line["kind"] == "header" else "x" for line in lines_in(tmp_path)]
    assert kinds == ["small@0123456789ab", "x", "new@1", "x", "new@1", "x"]


def test_a_write_that_fails_in_the_middle_leaves_only_whole_lines(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.flush()
    path = next(tmp_path.iterdir())
    good_bytes = path.stat().st_size
    with largest_file(good_bytes + 1000):
        written.add(NOISE + b"\n", clock(), None)
        with pytest.raises(OSError, match="large") as caught:
            written.flush()
        written.abandon()
    assert caught.value.errno == errno.EFBIG
    assert path.stat().st_size == good_bytes
    lines, rest = raw_lines(path)
    assert (len(lines), rest) == (2, b"")


def test_after_a_failure_the_next_line_begins_a_new_file(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock)
    with leaves_no_descriptor(), largest_file(100):
        written.add(NOISE + b"\n", clock(), None)
        with pytest.raises(OSError, match="large"):
            written.flush()
        written.abandon()
    written.add(b'{"kind":"x"}\n', clock(), None)
    written.close()
    assert [line["kind"] for line in lines_in(tmp_path)] == ["header", "x"]
