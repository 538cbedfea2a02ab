"""One file of a recording: never another's, and readable after a write that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex_frontend.observing.recording.trace_file import TraceFile
from support.recordings import raw_lines
from unit.reflex_frontend.observing.recording.trace_files import NOISE, largest_file


def test_going_on_makes_no_file_and_follows_no_link(tmp_path: Path) -> None:
    path = tmp_path / "2027-01-15T08Z_0badcafe_0.jsonl.gz"
    with pytest.raises(FileNotFoundError):
        TraceFile(path, is_further_member=True)
    (tmp_path / "theirs").write_bytes(b"theirs")
    path.symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic links"):
        TraceFile(path, is_further_member=True)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_a_write_that_fails_in_a_further_member_leaves_the_first(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = TraceFile(path)
    first.add(b'{"kind":"x"}\n')
    good_bytes = first.close()
    further = TraceFile(path, is_further_member=True)
    with largest_file(good_bytes + 1000):
        further.add(NOISE + b"\n")
        with pytest.raises(OSError, match="large"):
            further.flush()
    further.abandon()
    assert path.stat().st_size == good_bytes
    assert raw_lines(path) == ([b'{"kind":"x"}'], b"")


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "2027-01-15T08Z_0badcafe_0.jsonl.gz"
    path.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        TraceFile(path)
    assert path.read_bytes() == b"somebody's"


def test_recordings_are_not_for_everybody(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "file")
    file.close()
    assert file.path.stat().st_mode & 0o007 == 0
