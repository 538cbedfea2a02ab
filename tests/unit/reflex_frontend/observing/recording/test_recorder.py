"""Recording gets in nobody's way: it is quick, bounded, and what goes wrong with the disk stays with the disk."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reflex.errors import SetupError
from reflex.traces.schema import ShadowRecord
from reflex_frontend.observing.recording.recorder import GATHER_S, RETRY_S, QueueLimits, Recorder
from reflex_frontend.observing.recording.writer import FilePolicy
from support.leftovers import leaves_no_thread, threads
from support.promise import Promise
from support.recordings import act_entry, lines_in, raw_lines, trace_header, wall_clock
from support.skips import skip_for_want_of
from support.waiting import HANGS_S, let_pass, wait_until

TESTS = Path(__file__).parents[4]
CLOSE_S = HANGS_S
IMAGE = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)


@contextlib.contextmanager
def recording(directory: Path, **options: object) -> Iterator[Recorder]:
    recorder = Recorder(directory, trace_header(), **options)  # type: ignore[arg-type]
    recorder.start()
    try:
        yield recorder
    finally:
        assert recorder.close(CLOSE_S)


@contextlib.contextmanager
def mounted(directory: Path, options: str) -> Iterator[Path]:
    """A file system of its own in memory; only root may do that."""
    directory.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", directory], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        skip_for_want_of("the right to mount")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def remount(directory: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", directory], check=True)


def test_requests_are_numbered_from_one_and_all_of_them_are_in_the_file(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        numbers = [recorder.record(act_entry(number)) for number in range(1000)]
    assert numbers == list(range(1, 1001))
    lines = lines_in(tmp_path)
    assert lines[0]["kind"] == "header"
    assert [line["record_seq"] for line in lines[1:]] == numbers
    assert [line["seed"] for line in lines[1:]] == list(range(1000))
    assert (recorder.records_written, recorder.records_dropped, recorder.problem) == (1000, 0, None)
    assert recorder.bytes_written == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_record_can_be_read_a_moment_later_without_a_close(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        for number in (1, 2, 3):
            recorder.record(act_entry(number))
            wait_until(lambda number=number: recorder.records_written == number, "it is written")  # type: ignore[misc]
            assert [line["record_seq"] for line in lines_in(tmp_path, "request")] == list(range(1, number + 1))


@pytest.mark.slow
def test_the_clock_of_the_lines_and_names_is_the_servers(tmp_path: Path) -> None:
    wall = wall_clock()
    with recording(tmp_path, wall=wall) as recorder:
        recorder.record(act_entry())
        wall.now_s += 3600
        recorder.record(act_entry())
    assert [line["at"] for line in lines_in(tmp_path, "request")] == [1_800_000_000.0, 1_800_003_600.0]
    assert sorted(path.name[:14] for path in tmp_path.iterdir()) == ["2027-01-15T08Z", "2027-01-15T09Z"]


def test_a_shadow_line_is_in_the_file_of_its_requests_episode(tmp_path: Path) -> None:
    with recording(tmp_path, files=FilePolicy(by="episode")) as recorder:
        numbers = [recorder.record(act_entry(number)) for number in range(3)]
        for number in numbers:
            shadow = ShadowRecord(record_seq=number, policy="new@1", cosine=0.5, max_abs=(0.1,), at=1.0)
            recorder.record_shadow(shadow, f"episode-{(number - 1) % 3}")
    for path in tmp_path.iterdir():
        _, request, shadow_line = (json.loads(line) for line in raw_lines(path)[0])
        assert (request["kind"], shadow_line["kind"]) == ("request", "shadow")
        assert request["record_seq"] == shadow_line["record_seq"]


def test_another_policys_header_stands_before_its_lines(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        recorder.record(act_entry())
        recorder.replace_header(trace_header(model_version="new@1"))
        recorder.record(act_entry())
    assert [line["kind"] for line in lines_in(tmp_path)] == ["header", "request", "header", "request"]
    assert (recorder.records_written, recorder.records_dropped) == (2, 0)


@pytest.mark.parametrize(
    ("images", "kept", "limits"),
    [
        ("none", 50, QueueLimits(records=50)),
        ("full", 3, QueueLimits(bytes=4 * IMAGE.nbytes)),
        ("hash", 3, QueueLimits(bytes=4 * IMAGE.nbytes)),
    ],
)
def test_what_waits_is_bounded_and_what_is_too_much_is_dropped_and_counted(
    tmp_path: Path, images: str, kept: int, limits: QueueLimits
) -> None:
    recorder = Recorder(tmp_path, trace_header(), images=images, limits=limits)  # type: ignore[arg-type]
    for number in range(200):
        assert recorder.record(act_entry(number, images={"base": IMAGE})) == number + 1
    assert recorder.records_dropped == 200 - kept
    recorder.start()
    wait_until(lambda: recorder.records_written == kept, "what was kept is written")
    assert recorder.record(act_entry(200, images={"base": IMAGE})) == 201
    assert recorder.close(CLOSE_S)
    lines = lines_in(tmp_path)
    assert [line["record_seq"] for line in lines if line["kind"] == "request"] == [*range(1, kept + 1), 201]
    assert sum(line["count"] for line in lines if line["kind"] == "dropped") == 200 - kept
    assert recorder.records_written == kept + 1


def test_without_images_none_are_held(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, trace_header(), images="none", limits=QueueLimits(bytes=10 * IMAGE.nbytes))
    for number in range(60):
        recorder.record(act_entry(number, images={"base": IMAGE}))
    assert recorder.records_dropped == 0


def test_what_was_held_is_let_go_once_it_is_written(tmp_path: Path) -> None:
    with recording(tmp_path, images="hash", limits=QueueLimits(bytes=4 * IMAGE.nbytes)) as recorder:
        for number in range(8):
            recorder.record(act_entry(number, images={"base": IMAGE}))
            wait_until(lambda number=number: recorder.records_written > number, "it is written")  # type: ignore[misc]
    assert recorder.records_dropped == 0


@pytest.mark.timing
def test_recording_takes_microseconds(tmp_path: Path, promise: Promise) -> None:
    """The best of five hundreds: other programs may have the processor in the others."""
    recorder = Recorder(tmp_path, trace_header(), images="full")
    entries = [act_entry(number, images={"base": IMAGE}) for number in range(500)]
    best_s = 1.0
    for start in range(0, 500, 100):
        began = time.perf_counter()
        for entry in entries[start : start + 100]:
            recorder.record(entry)
        best_s = min(best_s, (time.perf_counter() - began) / 100)
    promise("recording costs a request microseconds", best_s, at_most=20e-6)


@pytest.mark.slow
def test_a_close_writes_what_waits_and_ends_the_files(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, trace_header())
    for number in range(3000):
        recorder.record(act_entry(number))
    recorder.start()
    assert recorder.close(CLOSE_S)
    assert recorder.records_written == len(lines_in(tmp_path, "request")) == 3000
    assert recorder.record(act_entry()) == 3001
    assert recorder.records_dropped == 1
    unpack = zlib.decompressobj(31)
    unpack.decompress(next(tmp_path.iterdir()).read_bytes())
    assert unpack.eof


def test_a_close_without_a_start_is_quick(tmp_path: Path) -> None:
    assert Recorder(tmp_path, trace_header()).close(0.0)


def test_closing_twice_does_nothing_more(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        recorder.record(act_entry())
        assert recorder.close(CLOSE_S)


def test_the_thread_ends_with_the_recorder(tmp_path: Path) -> None:
    before = threads()
    with leaves_no_thread(), recording(tmp_path):
        assert len(threads() - before) == 1


def test_a_directory_that_cannot_be_one_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="--record"):
        Recorder(tmp_path / "file", trace_header()).start()


def test_a_full_disk_stops_the_recording_until_there_is_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = wall_clock()
    caplog.set_level(logging.INFO, "reflex")
    with mounted(tmp_path / "disk", "size=1m") as disk, recording(disk, images="full", now=now) as recorder:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(700 * 1024))
        total = 0
        while recorder.problem is None:
            recorder.record(act_entry(images={"base": IMAGE}))
            total += 1
            let_pass(0.01)
        assert recorder.problem == "recording stopped: No space left on device"
        readable = [line["record_seq"] for line in lines_in(disk, "request")]
        assert readable[: recorder.records_written] == list(range(1, recorder.records_written + 1))

        ballast.unlink()
        recorder.record(act_entry())
        let_pass(3 * GATHER_S)
        assert recorder.problem is not None
        now.now_s += RETRY_S
        recorder.record(act_entry())
        wait_until(lambda: recorder.problem is None, "the recording goes on")
        recorder.record(act_entry())
        wait_until(lambda: recorder.records_written + recorder.records_dropped == total + 3, "all are counted")
        lines = lines_in(disk)
        assert [line["record_seq"] for line in lines if line["kind"] == "request"][-2:] == [total + 2, total + 3]
        assert sum(line["count"] for line in lines if line["kind"] == "dropped") == recorder.records_dropped
        assert not any(raw_lines(path)[1] for path in disk.glob("*.gz"))
    said = [record.getMessage() for record in caplog.records if record.name == "reflex.record"]
    assert said == ["recording stopped: No space left on device; it is tried again", "recording goes on"]


def test_a_read_only_directory_stops_the_recording_and_nothing_else(tmp_path: Path) -> None:
    now = wall_clock()
    with mounted(tmp_path / "disk", "size=1m,ro") as disk, recording(disk, now=now) as recorder:
        assert recorder.record(act_entry()) == 1
        wait_until(lambda: recorder.problem is not None, "the recording stops")
        assert recorder.problem == "recording stopped: Read-only file system"
        remount(disk, "rw")
        now.now_s += RETRY_S
        recorder.record(act_entry())
        wait_until(lambda: recorder.problem is None, "the recording goes on")
        assert [line["kind"] for line in lines_in(disk)] == ["header", "dropped", "request"]


def test_a_directory_that_goes_away_stops_the_recording_and_its_return_mends_it(tmp_path: Path) -> None:
    now, directory = wall_clock(), tmp_path / "recordings"
    with recording(directory, now=now) as recorder:
        directory.rmdir()
        recorder.record(act_entry())
        wait_until(lambda: recorder.problem is not None, "the recording stops")
        recorder.replace_header(trace_header(model_version="new@1"))
        wait_until(lambda: not recorder._queue, "the queue is empty")
        directory.mkdir()
        now.now_s += RETRY_S
        recorder.record(act_entry())
        wait_until(lambda: recorder.problem is None, "the recording goes on")
    header, dropped, request = lines_in(directory)
    assert header["policies"]["a"]["model_version"] == "new@1"
    assert (dropped["count"], request["record_seq"]) == (1, 2)


def test_the_problem_names_no_path(tmp_path: Path) -> None:
    with recording(tmp_path / "secret-name") as recorder:
        (tmp_path / "secret-name").rmdir()
        recorder.record(act_entry())
        wait_until(lambda: recorder.problem is not None, "the recording stops")
        assert "secret-name" not in str(recorder.problem)


def test_a_record_that_cannot_be_written_harms_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with recording(tmp_path) as recorder:
        recorder.record(act_entry(1))
        recorder.record(act_entry(2, instruction="a lone surrogate \ud800"))
        recorder.record(act_entry(3))
    assert [line["record_seq"] for line in lines_in(tmp_path, "request")] == [1, 3]
    assert (recorder.records_written, recorder.records_dropped) == (2, 1)
    assert "could not be recorded" in caplog.text
    assert recorder.problem is None


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(10))
def test_every_whole_line_is_readable_after_kill_9(tmp_path: Path, kill: int) -> None:
    """Each time at another moment; at most the last line is torn."""
    command = [sys.executable, "-m", "support.recordings", str(tmp_path)]
    child = subprocess.Popen(command, cwd=TESTS)
    try:
        wait_until(lambda: any(path.stat().st_size > 20_000 for path in tmp_path.iterdir()), "much is written")
        let_pass(0.013 * kill)
    finally:
        child.kill()
        child.wait()
    (path,) = tmp_path.iterdir()
    lines, _torn = raw_lines(path)
    parsed = [json.loads(line) for line in lines]
    assert parsed[0]["kind"] == "header"
    assert [line["record_seq"] for line in parsed[1:] if line["kind"] == "request"] == list(range(1, len(parsed)))
    assert len(parsed) > 5


def test_two_servers_record_into_one_directory(tmp_path: Path) -> None:
    servers = [Recorder(tmp_path, trace_header(server_id)) for server_id in ("11111111", "22222222")]
    for recorder in servers:
        recorder.start()
    for number in range(300):
        for recorder in servers:
            recorder.record(act_entry(number))
    for recorder in servers:
        assert recorder.close(CLOSE_S)
    for path in tmp_path.iterdir():
        header, *requests = (json.loads(line) for line in raw_lines(path)[0])
        assert header["server_id"] in path.name
        assert [request["record_seq"] for request in requests] == list(range(1, 301))
    assert len(list(tmp_path.iterdir())) == 2
