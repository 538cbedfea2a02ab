"""A killed run loses the open episode at most; repair makes whole what is there, and a second time does nothing.

REFLEX_RECORDING_KILLS sets how many runs are killed (6; `make recording-kills`: 300).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest
from mcap.reader import make_reader

from docs.documents import REPOSITORY
from reflex.errors import SetupError
from reflex_runner.recording.lerobot.dataset import Dataset
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.repair.repairing import repair_recordings
from support.run_recording.runs import facts, interrupted, recorded, tick

KILLS = int(os.environ.get("REFLEX_RECORDING_KILLS", "6"))
FORMATS = ("jsonl", "mcap", "lerobot")
SEED = int(os.environ.get("REFLEX_RECORDING_SEED", "13"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each run that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    program = REPOSITORY / "tests" / "support" / "run_recording" / "killed.py"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    command = [sys.executable, str(program), str(folder), str(KILLS), str(SEED), *FORMATS]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30 * KILLS + 120, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def runs_in(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*/*") if path.is_dir())


def ended_in(run: Path) -> int:
    """Episodes that were written down as ended; one that was open when the run was killed, its writer ended."""
    file = run / "episodes.jsonl"
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return sum(line.endswith(b"\n") and b'"reason":"killed"' not in line for line in lines)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def lines_whole(file: Path) -> int:
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert (lines[0]["kind"], lines[-1]["kind"]) == ("recording", "end")
    return len(lines)


def messages_whole(file: Path) -> int:
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        found = sum(1 for _ in reader.iter_messages())
        assert found == summary.statistics.message_count
    return found


def episodes_whole(root: Path) -> int:
    """Of a LeRobot dataset; every table and video has what `info.json` says."""
    if not root.exists():
        return 0
    info = json.loads((root / "meta" / "info.json").read_text())
    rows = [pq.read_table(file).to_pylist()[0] for file in sorted((root / "meta" / "episodes").glob("*/*.parquet"))]
    data = [pq.read_table(file) for file in sorted((root / "data").glob("*/*.parquet"))]
    assert [row["length"] for row in rows] == [table.num_rows for table in data]
    assert (info["total_episodes"], info["total_frames"]) == (len(rows), sum(row["length"] for row in rows))
    for name in ("observation.images.front", "observation.images.wrist"):
        videos = sorted((root / "videos" / name).glob("*/*.mp4"))
        assert [frames_of(video) for video in videos] == [row["length"] for row in rows]
    assert json.loads((root / "meta" / "stats.json").read_text())["index"]["count"] == [info["total_frames"]]
    return len(rows)


def frames_of(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def assert_whole(run: Path, ended: int) -> None:
    """All that had ended is there, one more at most, and nothing is left open."""
    names = files_in(run)
    assert [name for name in names if ".open" in name or ".partial" in name or name.endswith(".lock")] == []
    if not names:
        return
    jsonl = [lines_whole(file) for file in sorted((run / "jsonl").glob("*"))]
    mcap = [messages_whole(file) for file in sorted((run / "mcap").glob("*"))]
    assert jsonl[:ended] == [23] * ended, "header, begin, end, 3 observations, 3 chunks, 13 ticks, 1 event"
    assert mcap[:ended] == [6 + 3 + 3 + 13 * 3 + 2] * ended
    for found in (len(jsonl), len(mcap), episodes_whole(run / "lerobot")):
        assert ended <= found <= ended + 1


def assert_nothing_to_repair(run: Path) -> None:
    """Of a run that was killed alone: its writer has finished all that it had been told of."""
    if (run / "recording.json").exists():
        assert repair_recordings(run, dry_run=True).steps == []


@pytest.mark.slow
def test_a_run_killed_at_any_instant_loses_at_most_the_open_episode(killed: Path) -> None:
    whole = 0
    victims = json.loads((killed / "killed.json").read_text())
    for run in runs_in(killed):
        if not any(run.iterdir()):
            continue  # killed before it was a recording at all
        ended = ended_in(run)
        if victims[run.parent.name] == "run":
            assert_nothing_to_repair(run)
        before = files_in(run)
        planned = repair_recordings(run, dry_run=True).steps
        assert files_in(run) == before
        done = repair_recordings(run).steps
        assert {step.path for step in planned} <= {step.path for step in done}

        whole += ended
        if run.exists():
            assert_whole(run, ended)
            kept = files_in(run)
            assert repair_recordings(run).steps == []
            assert files_in(run) == kept
    assert whole >= KILLS // 2, "every other kill comes after an episode has ended"


@pytest.mark.slow
@pytest.mark.parametrize("torn_bytes", [1, 40, 700])
def test_a_line_a_picture_and_a_chunk_that_were_cut_are_left_out(tmp_path: Path, torn_bytes: int) -> None:
    run = interrupted(tmp_path, ["jsonl", "mcap"])
    for file in (run / "jsonl" / "episode-000000.jsonl.open", run / "mcap" / "episode-000000.mcap.open"):
        os.truncate(file, file.stat().st_size - torn_bytes)
    pictures = sorted((run / "images" / "episode-000000.open" / "front").glob("*"))
    os.truncate(pictures[-1], pictures[-1].stat().st_size - min(torn_bytes, 100))

    steps = repair_recordings(tmp_path).steps

    assert {step.did for step in steps} == {"finished"}
    assert lines_whole(run / "jsonl" / "episode-000000.jsonl") > 10
    assert messages_whole(run / "mcap" / "episode-000000.mcap") > 10
    assert len(list((run / "images" / "episode-000000" / "front").glob("*"))) == len(pictures) - 1
    told = [json.loads(line) for line in (run / "episodes.jsonl").read_bytes().splitlines()]
    assert told == [{"episode": 0, "success": None, "reason": "interrupted"}]


def test_a_dataset_killed_between_its_episode_and_its_totals_is_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summed = Dataset.sum_up
    with monkeypatch.context() as patch:
        patch.setattr(
            Dataset, "sum_up", lambda self, *, exact=False: summed(self, exact=exact) if len(self.rows) < 2 else None
        )
        run = recorded(tmp_path, ["lerobot"], {30: True, 12: None})
    assert json.loads((run / "lerobot" / "meta" / "info.json").read_text())["total_episodes"] == 1

    assert [step.did for step in repair_recordings(run).steps] == ["summed up"]
    assert episodes_whole(run / "lerobot") == 2


def test_a_whole_recording_and_one_that_is_being_written_are_left_alone(tmp_path: Path) -> None:
    recorded(tmp_path, FORMATS, {12: True})
    kept = files_in(tmp_path)
    assert repair_recordings(tmp_path).steps == []
    assert files_in(tmp_path) == kept

    with Recorder(tmp_path, facts(), keep_free_bytes=0) as recorder:
        recorder.ticked(tick(0, 1.0))
        found = repair_recordings(tmp_path)
    assert (found.recordings, found.steps, found.being_recorded) == (2, [], [recorder.folder])


def test_a_folder_without_a_recording_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="holds no recording"):
        repair_recordings(tmp_path)
    with pytest.raises(SetupError, match="is no folder"):
        repair_recordings(tmp_path / "missing")


@pytest.mark.parametrize("name", ["episodes.jsonl", "jsonl/episode-000009.jsonl.open", "images/episode-000009.open"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_link_in_a_recording_of_a_stranger_leads_nobody_elsewhere(tmp_path: Path, name: str, dry_run: bool) -> None:
    recording = recorded(tmp_path / "recordings", ["jsonl"], {5: True})
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "front").mkdir(parents=True)
    mine = elsewhere / "front" / "mine.jpg"
    mine.write_bytes(b"precious")
    link = recording / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere if name.startswith("images") else mine)

    with pytest.raises(SetupError, match="is a link, which no recording has"):
        repair_recordings(recording, dry_run=dry_run)
    assert mine.read_bytes() == b"precious"


@pytest.mark.parametrize("line", [b"{}", b'{"episode": "0"}', b'{"episode": [1]}'])
def test_a_list_of_episodes_with_strange_lines_is_completed(tmp_path: Path, line: bytes) -> None:
    recording = recorded(tmp_path, ["jsonl"], {5: True})
    (recording / "episodes.jsonl").write_bytes(line + b"\n")
    (step,) = repair_recordings(recording).steps
    assert step.detail == "episode 0 was interrupted"
