"""MCAP recordings, read by MCAP's own reader."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from PIL import Image

from reflex.connector import CameraFrame, Observation
from reflex_runner.recording.recorder import Recorder
from support.run_recording.runs import facts, number_in, pose, recorded, tick


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("mcap"), ["mcap"], {30: True, 12: None})


def messages(file: Path) -> list[tuple[str, str, int, dict[str, Any]]]:
    """Topic, schema, time in nanoseconds and content, in order."""
    with file.open("rb") as stream:
        return [
            (channel.topic, schema.name if schema else "", message.log_time, json.loads(message.data))
            for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages()
        ]


def metadata(file: Path) -> dict[str, dict[str, str]]:
    with file.open("rb") as stream:
        return {record.name: dict(record.metadata) for record in make_reader(stream).iter_metadata()}


@pytest.mark.slow
def test_pictures_are_those_that_foxglove_knows_and_show_what_the_camera_saw(folder: Path) -> None:
    found = [row for row in messages(folder / "mcap" / "episode-000000.mcap") if "/images/" in row[0]]

    assert {(topic, schema) for topic, schema, *_ in found} == {
        ("/observation/images/front", "foxglove.CompressedImage"),
        ("/observation/images/wrist", "foxglove.CompressedImage"),
    }
    front = [content for topic, _, _, content in found if topic.endswith("front")]
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(content["data"])))) for content in front]
    assert [number_in(pixels) for pixels in shown] == [0, 5, 10, 15, 20, 25]
    assert {content["format"] for content in front} == {"jpeg"}


def test_joints_are_labelled_and_commands_are_what_was_commanded(folder: Path) -> None:
    found = [row for row in messages(folder / "mcap" / "episode-000000.mcap") if row[0] == "/action/state"]

    assert len(found) == 31
    joints = found[7][3]["joints"]
    assert [joint["label"] for joint in joints] == list(facts().embodiment.action_names)
    assert np.array_equal(np.array([joint["value"] for joint in joints], np.float32), pose(7, 0.25))


def test_what_the_guard_did_and_what_happened_is_a_log(folder: Path) -> None:
    found = [row for row in messages(folder / "mcap" / "episode-000000.mcap") if row[0] == "/log"]

    assert {schema for _, schema, *_ in found} == {"foxglove.Log"}
    assert [(row[3]["name"], row[3]["level"]) for row in found] == [("guard", 3), ("clamped", 3)]
    assert "elbow_flex: 99 was held to 96.8" in found[0][3]["message"]


@pytest.mark.slow
def test_metadata_say_whose_recording_it_is_and_how_the_episode_ended(folder: Path) -> None:
    told = [metadata(folder / "mcap" / f"episode-00000{number}.mcap") for number in (0, 1)]

    assert told[0]["reflex.recording"]["session_id"] == "ses_1"
    assert json.loads(told[0]["reflex.recording"]["policy"])["model_version"] == "3"
    assert [one["reflex.episode"]["success"] for one in told] == ["true", "unknown"]


def test_times_are_those_measured_in_the_message_and_in_its_log_time(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), ["mcap"], keep_free_bytes=0, now=lambda: 7.0, wall=lambda: 1_007.0) as recorder:
        frame = CameraFrame(np.zeros((8, 8, 3), np.uint8), 1.5)
        recorder.observed(0, Observation(pose(0), {"a.b/c": frame}, None, 2.0))
        recorder.ticked(tick(0, 2.25))

    rows = messages(recorder.folder / "mcap" / "episode-000000.mcap")
    found = {topic: (at_ns, content) for topic, _, at_ns, content in rows}
    assert found["/observation/images/a_b_c"][0] == 1_001_500_000_000
    assert found["/observation/images/a_b_c"][1]["timestamp"] == {"sec": 1_001, "nsec": 500_000_000}
    assert found["/observation/state"][0] == 1_002_000_000_000
    assert found["/action/state"][0] == found["/measured/state"][0] == 1_002_250_000_000
