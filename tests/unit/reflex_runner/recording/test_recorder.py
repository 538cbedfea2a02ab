"""A recording never holds a run up, and says what it lost."""

from __future__ import annotations

import json
import logging
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from reflex.connector import CameraFrame, Observation
from reflex.errors import SetupError
from reflex_runner.recording.episodes import append_line
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.repair.repairing import repair_recordings
from reflex_runner.recording.waiting_line import Limits
from support.outside.disks import small_disk
from support.run_recording.runs import facts, picture, play, pose, recorded, tick
from support.skips import skip_for_want_of
from support.waiting import wait_until


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def kinds_of(file: Path) -> dict[str, int]:
    kinds = [line["kind"] for line in lines_of(file)]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def test_everything_that_a_run_tells_is_in_the_recording(tmp_path: Path) -> None:
    folder = recorded(tmp_path, ["jsonl"], {30: True, 12: None})

    assert kinds_of(folder / "jsonl" / "episode-000000.jsonl") == {
        "recording": 1, "begin": 1, "observation": 6, "chunk": 6, "tick": 31, "event": 1, "end": 1,
    }  # fmt: skip
    told = lines_of(folder / "episodes.jsonl")
    assert [(line["episode"], line["success"], line["reason"]) for line in told] == [
        (0, True, "ended"), (1, None, "ended"),
    ]  # fmt: skip
    assert told[0]["counts"] == {"pictures": 12, "observations": 6, "chunks": 6, "ticks": 31, "events": 1}
    assert told[0]["formats"] == {"jsonl": "whole", "images": "whole"}


def test_a_header_says_of_what_robot_policy_session_and_limits_it_is(tmp_path: Path) -> None:
    header = json.loads((recorded(tmp_path, ["jsonl"]) / "recording.json").read_text())

    assert header["policy"] == {"policy_id": "pick_cube", "model_version": "3", "policy_hash": "sha256:ab12"}
    assert (header["session_id"], header["calibration_id"]) == ("ses_1", "cal_7")
    assert (header["embodiment"]["name"], header["control_hz"]) == ("so101", 30)
    assert header["embodiment"]["action_units"][-1] == "percent_open"
    assert header["embodiment"]["action_high"][0] == 110.0
    assert (header["instruction"], header["mode"], header["format_version"]) == ("pick up the cube", "apply_actions", 1)


def test_times_are_those_measured_whatever_the_days_clock_does_meanwhile(tmp_path: Path) -> None:
    walls = iter([5_000.0] * 5 + [9_999_999.0] * 100)
    moments = iter([50.0] * 10)
    folder = recorded(
        tmp_path, ["jsonl"], {3: None}, wall=lambda: next(walls), now=lambda: next(moments, 60.0)
    )  # fmt: skip

    ticks = [line for line in lines_of(folder / "jsonl" / "episode-000000.jsonl") if line["kind"] == "tick"]
    header = json.loads((folder / "recording.json").read_text())
    assert header["clock"] == {"offset_s": 4_950.0, "uncertainty_s": 0.0}
    assert len(ticks) == 4


def test_a_tick_is_told_at_its_own_time_not_at_that_of_the_declared_rate(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), keep_free_bytes=0, now=lambda: 7.0, wall=lambda: 1_007.0) as recorder:
        for at_s in (10.0, 10.041, 10.3):
            recorder.ticked(tick(0, at_s))

    lines = lines_of(recorder.folder / "jsonl" / "episode-000000.jsonl")
    assert [line["t"] for line in lines if line["kind"] == "tick"] == [1_010.0, 1_010.041, 1_010.3]


def test_a_picture_that_comes_again_is_recorded_once_and_every_observation_names_its_own(tmp_path: Path) -> None:
    first, second = CameraFrame(picture(1), 1.0), CameraFrame(picture(2), 2.0)
    with Recorder(tmp_path, facts(), keep_free_bytes=0, frames=lambda: {"front": second}) as recorder:
        for seq, frame in enumerate((first, first, second)):
            recorder.observed(seq, Observation(pose(0), {"front": frame}, None, 2.0))
            recorder.ticked(tick(seq, 2.0))

    lines = lines_of(recorder.folder / "jsonl" / "episode-000000.jsonl")
    files = [line["pictures"]["front"] for line in lines if line["kind"] == "observation"]
    assert len(set(files)) == 2
    assert files[0] == files[1]
    folder = recorder.folder / lines[0]["pictures_in"]
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*.jpg")) == sorted(set(files))
    assert lines_of(recorder.folder / "episodes.jsonl")[0]["counts"]["pictures"] == 2


def test_only_what_lies_between_two_marks_is_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), keep_free_bytes=0, marked_episodes=True) as recorder:
        recorder.ticked(tick(1, 1.0))
        recorder.begin_episode("stack")
        recorder.ticked(tick(2, 2.0))
        recorder.end_episode(success=False)
        recorder.ticked(tick(3, 3.0))

    lines = lines_of(recorder.folder / "jsonl" / "episode-000000.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "tick"] == [2]
    assert lines[1]["instruction"] == "stack"
    assert (lines[-1]["kind"], lines[-1]["success"], lines[-1]["reason"]) == ("end", False, "ended")
    assert len(lines_of(recorder.folder / "episodes.jsonl")) == 1


def test_a_damaged_picture_is_left_out_and_counted(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), keep_free_bytes=0) as recorder:
        recorder.observed(0, Observation(pose(0), {"front": CameraFrame(b"no picture")}))

    assert recorder.dropped == {"unreadable pictures": 1}
    lines = lines_of(recorder.folder / "jsonl" / "episode-000000.jsonl")
    assert "pictures" not in next(line for line in lines if line["kind"] == "observation")
    assert lines[-1]["dropped"] == {"unreadable pictures": 1}


class SlowDisk:
    """Stands for `open`'s result: it writes when it may."""

    def __init__(self, may_write: threading.Event) -> None:
        self.may_write = may_write

    def __call__(self, *_: object) -> None:
        self.may_write.wait(60)


def test_a_disk_that_hangs_holds_nobody_up_and_what_did_not_fit_is_counted_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_write = threading.Event()
    monkeypatch.setattr("reflex_runner.recording.formats.images._ImagesEpisode.pictured", SlowDisk(may_write))
    recorder = Recorder(tmp_path, facts(), keep_free_bytes=0, limits=Limits(entries=50, bytes=100_000))
    recorder.start()
    play(recorder, 400)  # would never return if it waited for the disk
    assert recorder.dropped["ticks"] > 300
    with caplog.at_level(logging.WARNING):
        may_write.set()
        assert recorder.close()

    assert sum("cannot keep up" in record.message for record in caplog.records) == 1
    ended = lines_of(recorder.folder / "episodes.jsonl")[0]
    assert ended["dropped"]["ticks"] == recorder.dropped["ticks"]


def test_a_format_that_fails_is_said_once_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reflex_runner.recording.formats.images._ImagesEpisode.pictured", fail)
    with Recorder(tmp_path, facts(), keep_free_bytes=0) as recorder:
        play(recorder, 30)

    assert recorder.problems == {"images": "No space left on device"}
    assert sum("recording as images stopped" in record.message for record in caplog.records) == 1
    assert kinds_of(recorder.folder / "jsonl" / "episode-000000.jsonl")["tick"] == 31
    assert lines_of(recorder.folder / "episodes.jsonl")[0]["formats"] == {
        "jsonl": "whole", "images": "No space left on device",
    }  # fmt: skip


def test_when_the_disk_is_nearly_full_the_episode_ends_whole_and_goes_on_as_another_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes = [10**9]
    monkeypatch.setattr("reflex_runner.recording.writing.LOOK_AT_DISK_S", 0.0)

    class Usage:
        @property
        def free(self) -> int:
            return free_bytes[0]

    monkeypatch.setattr("reflex_runner.recording.episodes.shutil.disk_usage", lambda _: Usage())
    with Recorder(tmp_path, facts(), keep_free_bytes=10**6) as recorder:
        recorder.ticked(tick(0, 1.0))
        wait_until(lambda: (recorder.folder / "jsonl" / "episode-000000.jsonl.open").exists(), "an episode is open")
        free_bytes[0] = 10
        wait_until(lambda: recorder.problems, "the full disk is told")
        recorder.ticked(tick(1, 2.0))
        wait_until(lambda: recorder.dropped, "what is lost is counted")
        free_bytes[0] = 10**9
        wait_until(lambda: not recorder.problems, "there is room again")
        recorder.ticked(tick(2, 3.0))

    assert recorder.dropped == {"ticks": 1}
    assert [line["reason"] for line in lines_of(recorder.folder / "episodes.jsonl")] == ["disk_full", "closed"]
    again = lines_of(recorder.folder / "jsonl" / "episode-000001.jsonl")
    assert [line["step"] for line in again if line["kind"] == "tick"] == [2]


@pytest.mark.slow
def test_on_a_disk_that_is_really_full_the_run_goes_on_and_the_rest_is_whole_after_a_repair(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 600) as is_small:
        if not is_small:
            skip_for_want_of("the right to mount")
        with Recorder(tmp_path / "disk", facts(), ["jsonl", "mcap", "lerobot"], keep_free_bytes=0) as recorder:
            for number in range(6):
                recorder.begin_episode()
                play(recorder, 60, first=number * 60)
                recorder.end_episode(success=True)
        with pytest.raises(SetupError, match=r"could not be repaired \(No space left on device\)"):
            repair_recordings(tmp_path / "disk")
        whole = shutil.copytree(recorder.folder, tmp_path / "elsewhere" / "run")
    assert repair_recordings(whole).steps
    assert repair_recordings(whole).steps == []

    told = lines_of(whole / "episodes.jsonl")
    assert "No space left on device" in recorder.problems.values()
    assert told[0]["formats"] == {"jsonl": "whole", "images": "whole", "mcap": "whole", "lerobot": "whole"}
    for line in told:
        kept = whole / "jsonl" / f"episode-{line['episode']:06d}.jsonl"
        assert line["formats"]["jsonl"] != "whole" or kinds_of(kept)["tick"] == 61


def test_a_line_that_does_not_fit_leaves_nothing_of_it(tmp_path: Path) -> None:
    with small_disk(tmp_path, 64) as is_small:
        if not is_small:
            skip_for_want_of("the right to mount")
        file = tmp_path / "episodes.jsonl"
        append_line(file, {"episode": 0})
        with pytest.raises(OSError, match="No space left"):
            append_line(file, {"episode": 1, "text": "x" * 100_000})
        assert lines_of(file) == [{"episode": 0}]


def test_a_recording_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = recorded(tmp_path, ["jsonl"])

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("recording.json", "episodes.jsonl", "jsonl/episode-000000.jsonl"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    assert sorted(path.name for path in folder.iterdir()) == ["episodes.jsonl", "images", "jsonl", "recording.json"]


@pytest.mark.parametrize(
    ("formats", "says"),
    [(["jsnol"], "'jsnol' is no format"), ([], "name at least one")],
    ids=["unknown", "none"],
)
def test_a_format_that_is_none_is_refused_before_anything_moves(tmp_path: Path, formats: list[str], says: str) -> None:
    with pytest.raises(SetupError, match=says):
        Recorder(tmp_path, facts(), formats)


def test_a_folder_that_cannot_be_made_or_is_on_a_full_disk_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be made"):
        Recorder(tmp_path / "file", facts()).start()
    with pytest.raises(SetupError, match="make room"):
        Recorder(tmp_path, facts(), keep_free_bytes=10**18).start()
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_closing_twice_and_without_a_start_is_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, facts())
    assert recorder.close()
    with Recorder(tmp_path, facts(), keep_free_bytes=0) as begun:
        pass
    assert begun.close()
    assert [path.name for path in begun.folder.iterdir()] == ["recording.json"]


@pytest.mark.parametrize(("waiting", "is_whole"), [([5, 4, 3, 2, 1, 0], True), ([5, 4, 4, 4], False)])
def test_the_end_of_a_recording_is_waited_for_as_long_as_something_of_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: list[int], is_whole: bool
) -> None:
    class Line:
        def __init__(self) -> None:
            self.left = list(waiting)

        def __len__(self) -> int:
            return self.left[0]

    recorder, line = Recorder(tmp_path, facts()), Line()

    def looked(_: float) -> bool:
        line.left = line.left[1:] or line.left
        return line.left == [0]

    monkeypatch.setattr(recorder, "_line", line)
    monkeypatch.setattr(recorder, "_is_ended", looked)
    assert recorder.close(timeout_s=0.0) is is_whole
