"""The process that writes a recording: it outlives a killed run, gives way, and is followed by another if it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from docs.documents import REPOSITORY
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.repair.repairing import repair_recordings
from reflex_runner.recording.writer_process import NICENESS
from support.run_recording.runs import facts, play, tick
from support.waiting import HANGS_S, wait_until

RUN = """
import os, sys, time
from functools import partial
from pathlib import Path
from reflex_runner.recording.recorder import Recorder
from support.run_recording.runs import facts, play
recorder = Recorder(Path(sys.argv[1]), facts(), ["jsonl"], keep_free_bytes=0)
recorder.start()
play(recorder, 60)
print(recorder.folder, flush=True)
time.sleep(600)
"""


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def writers_of(folder: Path) -> list[int]:
    """Processes whose command line names the folder's lock."""
    name = str(folder / ".recording.lock").encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if name in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def has_begun(recorder: Recorder, folders: int) -> bool:
    return len(recorder.folders) == folders


def wait_for(file: Path, text: bytes) -> None:
    wait_until(lambda: file.exists() and text in file.read_bytes(), f"{file.name} holds {text!r}")


@pytest.mark.slow
def test_when_the_run_is_killed_its_writer_finishes_the_open_episode_and_ends(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        (writer,) = writers_of(folder)
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(writer, stop)
        wait_for(folder / "jsonl" / "episode-000000.jsonl.open", b'"kind":"event"')
        assert repair_recordings(folder).being_recorded == [folder]
        run.kill()
    wait_until(lambda: not writers_of(folder), "the writer ends")

    (ended,) = lines_of(folder / "episodes.jsonl")
    assert (ended["reason"], ended["success"], ended["counts"]["ticks"]) == ("killed", None, 61)
    lines = lines_of(folder / "jsonl" / "episode-000000.jsonl")
    assert (lines[-1]["reason"], lines[-1]["t"]) == ("killed", lines[-2]["t"]), "its end is when the last was measured"
    assert sorted(path.name for path in folder.iterdir()) == ["episodes.jsonl", "images", "jsonl", "recording.json"]
    assert repair_recordings(folder).steps == []


@pytest.mark.slow
def test_a_writer_that_dies_is_followed_by_another_and_the_run_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Recorder(tmp_path, facts(), keep_free_bytes=0, marked_episodes=True) as recorder:
        recorder.begin_episode("stack")
        play(recorder, 30)
        first = recorder.folder
        wait_for(first / "jsonl" / "episode-000000.jsonl.open", b'"kind":"event"')
        (writer,) = writers_of(first)
        os.kill(writer, signal.SIGKILL)
        wait_until(lambda: len(recorder.folders) == 2, "another writes")
        play(recorder, 20)
        recorder.end_episode(success=True)

    second = recorder.folders[1]
    lines = lines_of(second / "jsonl" / "episode-000000.jsonl")
    assert [line["code"] for line in lines if line["kind"] == "event"] == ["recording_continued", "clamped"]
    assert sum(line["kind"] == "tick" for line in lines) == 21
    assert lines[1]["instruction"] == "stack"
    assert lines_of(second / "episodes.jsonl")[0]["success"] is True
    assert sum("has died (it was killed by SIGKILL)" in record.message for record in caplog.records) == 1
    assert recorder.problems == {}
    assert {step.did for step in repair_recordings(tmp_path).steps} == {"finished"}
    assert repair_recordings(tmp_path).steps == []


@pytest.mark.slow
def test_after_the_third_death_nothing_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), keep_free_bytes=0) as recorder:
        for number in (1, 2, 3):
            wait_until(partial(has_begun, recorder, number), "another writes")
            for writer in writers_of(recorder.folders[-1]):
                os.kill(writer, signal.SIGKILL)
        wait_until(lambda: recorder.problems, "it is said")
        recorder.ticked(tick(0, 1.0))

    assert recorder.problems == {"writer": "it was killed by SIGKILL"}
    assert recorder.dropped["ticks"] == 1


@pytest.mark.slow
def test_the_writer_gives_way_and_leaves_no_process_behind(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), keep_free_bytes=0) as recorder:
        (writer,) = writers_of(recorder.folder)
        most = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, writer) == most, "it is nicer than the run")
        assert os.getsid(writer) != os.getsid(0)
    assert writers_of(recorder.folder) == []


@pytest.mark.slow
def test_a_writer_that_stands_still_is_waited_for_no_longer_than_said_and_ends_the_episode_later(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    recorder = Recorder(tmp_path, facts(), keep_free_bytes=0, say=told.append)
    recorder.start()
    (writer,) = writers_of(recorder.folder)
    os.kill(writer, signal.SIGSTOP)
    play(recorder, 60)
    assert not recorder.close(2.5)
    assert told
    os.kill(writer, signal.SIGCONT)
    assert recorder.close(HANGS_S)
    assert lines_of(recorder.folder / "episodes.jsonl")[0]["counts"]["ticks"] == 61
