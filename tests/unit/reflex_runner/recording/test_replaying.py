"""Recorded commands come back as chunks that say for each moment what was commanded then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reflex.connector import Observation
from reflex.embodiments import load_embodiment
from reflex.errors import SetupError
from reflex.guard import ActionGuard
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.replaying import Replay
from reflex_runner.transports.transport import Transport
from support.run_recording.runs import TICK_S, facts, pose, recorded, tick

SO101 = load_embodiment("so101")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("replayed"), ["jsonl", "mcap", "lerobot"], {30: True, 12: None})


def at(captured_s: float) -> Observation:
    return Observation(pose(0), captured_s=captured_s)


def commands(first: int, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([pose(number, 0.25) for number in range(first, first + count)])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["jsonl", "mcap", "lerobot"])
def test_every_format_gives_back_what_was_commanded(recording: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / form).symlink_to(recording / form)
    replay: Transport = Replay(tmp_path, SO101, episode=1)
    replay.open()

    chunk = replay.ask(7, at(100.0), executed_steps=None)

    assert (chunk.seq, chunk.captured_s, replay.control_hz) == (7, 100.0, 30.0)
    assert chunk.actions.dtype == np.float32
    assert np.allclose(chunk.actions[:13], commands(50, 13), atol=2e-3)


def test_a_dataset_of_lerobots_own_is_replayed_too(recording: Path, tmp_path: Path) -> None:
    shutil.copytree(recording / "lerobot", tmp_path / "own")
    (tmp_path / "own" / "meta" / "reflex.json").unlink()
    info = json.loads((tmp_path / "own" / "meta" / "info.json").read_text())
    info["features"]["action"]["names"] = [f"{name}.pos" for name in SO101.action_names]
    (tmp_path / "own" / "meta" / "info.json").write_text(json.dumps(info))

    chunk = Replay(tmp_path / "own", SO101, episode=1).ask(0, at(1.0))

    assert np.allclose(chunk.actions[:13], commands(50, 13), atol=2e-3)


def test_an_episode_without_frames_moves_no_number(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(cameras=()), ["lerobot"], keep_free_bytes=0) as recorder:
        for number in (0, 1):
            recorder.begin_episode()
            recorder.ticked(tick(number, 1.0, command=pose(number) if number else None))

    assert np.allclose(Replay(recorder.folder, SO101, episode=1).ask(0, at(1.0)).actions[0], pose(1))


@pytest.mark.slow
def test_a_later_observation_gets_what_comes_later(recording: Path) -> None:
    replay = Replay(recording, SO101)
    replay.ask(0, at(100.0))

    later = replay.ask(1, at(100.0 + 10 * TICK_S))

    assert np.allclose(later.actions[:5], commands(10, 5), atol=2e-3)
    assert not replay.is_over


def test_between_two_commands_it_is_between_them_at_the_times_that_were_measured(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(cameras=()), keep_free_bytes=0) as recorder:
        for number, at_s in enumerate((1.0, 1.0 + TICK_S, 1.0 + 4 * TICK_S)):
            recorder.ticked(tick(number, at_s, command=pose(number)))
    replay = Replay(recorder.folder, SO101)

    found = replay.ask(0, at(5.0)).actions[:5, 0]

    assert np.allclose(found, [0, 1, 4 / 3, 5 / 3, 2], atol=1e-3)
    assert (replay.steps, round(replay.seconds / TICK_S)) == (5, 4)


def test_after_the_last_command_it_is_said_again_and_the_replay_is_over(recording: Path) -> None:
    replay = Replay(recording, SO101)
    replay.ask(0, at(100.0))

    chunk = replay.ask(1, at(200.0))

    assert replay.is_over
    assert np.allclose(chunk.actions, np.broadcast_to(pose(30, 0.25), chunk.actions.shape))
    replay.open()
    assert np.allclose(replay.ask(2, at(300.0)).actions[0], pose(0, 0.25))


def test_what_comes_back_passes_the_guard_it_came_from(tmp_path: Path) -> None:
    guard, previous = ActionGuard(SO101), pose(0)
    with Recorder(tmp_path, facts(cameras=()), keep_free_bytes=0) as recorder:
        for number in range(40):
            wanted = pose(0) + np.float32(30 * np.sin(number / 5))
            previous = guard.check(wanted[None], previous=previous).actions[0]
            recorder.ticked(tick(number, 1.0 + number * TICK_S, command=previous))

    chunk = Replay(recorder.folder, SO101).ask(0, at(9.0))

    assert guard.check(chunk.actions).clamped is False


@pytest.mark.parametrize(
    ("embodiment", "episode", "says"),
    [("so101", 9, "there is no episode 9"), ("ur5", 0, "replay it on the robot of its embodiment")],
)
def test_an_episode_that_is_not_there_and_another_robot_are_refused(
    recording: Path, embodiment: str, episode: int, says: str
) -> None:
    with pytest.raises(SetupError, match=says):
        Replay(recording, load_embodiment(embodiment), episode)


def test_a_damaged_recording_and_one_without_commands_are_one_sentence(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(cameras=()), keep_free_bytes=0) as recorder:
        recorder.ticked(tick(0, 1.0, command=None))
    file = recorder.folder / "jsonl" / "episode-000000.jsonl"
    with pytest.raises(SetupError, match="there is no episode 0 in which anything was commanded"):
        Replay(recorder.folder, SO101)
    lines = file.read_bytes().splitlines()
    told = json.loads(lines[-2]) | {"command": [1.0, 2.0]}
    file.write_bytes(b"\n".join([*lines, json.dumps(told).encode(), json.dumps(told | {"command": [1.0]}).encode()]))
    with pytest.raises(SetupError, match="different lengths"):
        Replay(recorder.folder, SO101)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(SetupError, match="reflex datasets repair"):
        Replay(recorder.folder, SO101)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["", "lerobot"])
def test_percent_are_not_taken_for_degrees(recording: Path, where: str) -> None:
    with pytest.raises(SetupError, match=r"was recorded in deg, percent_open, and so101_percent is in percent_of_half"):
        Replay(recording / where, load_embodiment("so101_percent"))


@pytest.mark.parametrize("line", [b"[1]", b'{"embodiment": []}', b"1", b"[" * 100_000])
def test_lines_of_a_stranger_are_told_to_be_damaged(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "jsonl").mkdir()
    (tmp_path / "jsonl" / "episode-000000.jsonl").write_bytes(line + b"\n")
    with pytest.raises(SetupError, match="is damaged"):
        Replay(tmp_path, SO101)
