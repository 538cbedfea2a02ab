"""LeRobot datasets as pyarrow and PyAV read them; `make lerobot-test` gives them to LeRobot itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from reflex.connector import CameraFrame, Observation
from reflex_runner.recording.recorder import Recorder
from support.run_recording.runs import TICK_S, facts, number_in, picture, play, pose, recorded, tick

pytestmark = pytest.mark.slow

LENGTHS = [31, 13, 76]


@pytest.fixture(scope="module", params=["lerobot", "lerobot_png"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp(request.param)
    return recorded(parent, [request.param], {30: True, 12: None, 75: False}) / "lerobot"


def info_of(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "meta" / "info.json").read_text()))


def table_of(root: Path, folder: str) -> Any:
    return pa.concat_tables(pq.read_table(file) for file in sorted((root / folder).glob("*/*.parquet")))


def decoded(file: Path) -> tuple[list[float], list[int]]:
    """Times and numbers of the pictures."""
    with av.open(str(file)) as container:
        frames = list(container.decode(video=0))
    pixels = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]
    return [float(frame.time or 0.0) for frame in frames], [number_in(each) for each in pixels]


def shown(frames: int) -> list[int]:
    """Of an episode whose first tick is 0 in the pictures: every fifth tick has a new one, but for the last."""
    return [min(number // 5 * 5, 25) for number in range(frames)]


def test_the_totals_are_those_of_the_tables(root: Path) -> None:
    info, data, episodes = info_of(root), table_of(root, "data"), table_of(root, "meta/episodes")

    assert (info["codebase_version"], info["fps"], info["robot_type"]) == ("v3.0", 30, "so101")
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, sum(LENGTHS), 1)
    assert info["splits"] == {"train": "0:3"}
    assert data.num_rows == sum(LENGTHS)
    assert episodes["length"].to_pylist() == LENGTHS
    assert episodes["dataset_from_index"].to_pylist() == [0, 31, 44]
    assert episodes["dataset_to_index"].to_pylist() == [31, 44, 120]


def test_rows_count_as_lerobot_counts_them(root: Path) -> None:
    data = table_of(root, "data")

    assert data["index"].to_pylist() == list(range(sum(LENGTHS)))
    assert data["frame_index"].to_pylist() == [frame for length in LENGTHS for frame in range(length)]
    assert data["episode_index"].to_pylist() == [number for number, length in enumerate(LENGTHS) for _ in range(length)]
    expected = np.array(data["frame_index"].to_pylist(), np.float32) / 30
    assert np.abs(np.array(data["timestamp"].to_pylist(), np.float32) - expected).max() < 1e-4


def test_every_column_is_what_info_says(root: Path) -> None:
    features = info_of(root)["features"]
    for file in sorted((root / "data").glob("*/*.parquet")):
        schema = pq.read_schema(file)
        assert schema.names == [name for name, feature in features.items() if feature["dtype"] != "video"]
        assert schema.field("action").type == pa.list_(pa.float32(), 6)
        hub = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert list(hub) == schema.names
    assert features["action"]["names"] == list(facts().embodiment.action_names)
    assert features["observation.images.front"]["names"] == ["height", "width", "channels"]


def test_actions_are_what_was_commanded_and_states_what_was_measured(root: Path) -> None:
    data = table_of(root, "data").slice(31, 12)

    assert np.array_equal(np.array(data["action"].to_pylist(), np.float32), [pose(n, 0.25) for n in range(50, 62)])
    assert np.array_equal(np.array(data["observation.state"].to_pylist(), np.float32), [pose(n) for n in range(50, 62)])
    assert set(data["reflex.applied"].to_pylist()) == {True}


def test_every_frame_shows_its_picture(root: Path) -> None:
    if info_of(root)["video_path"] is None:
        cells = pq.read_table(root / "data/chunk-000/file-000.parquet")["observation.images.wrist"].to_pylist()
        found = [number_in(picture_in(cell["bytes"])) for cell in cells]
    else:
        times_s, found = decoded(root / "videos/observation.images.wrist/chunk-000/file-000.mp4")
        assert np.abs(np.array(times_s) - np.arange(31) / 30).max() < 1e-4

    assert found == [number + 1 for number in shown(31)]


def picture_in(file: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(file)))


def test_statistics_are_those_of_the_data(root: Path) -> None:
    stats, data = json.loads((root / "meta" / "stats.json").read_text()), table_of(root, "data")

    assert list(stats) == list(info_of(root)["features"])
    for name in ("action", "observation.state", "timestamp", "index"):
        values = np.array(data[name].to_pylist(), np.float64).reshape(sum(LENGTHS), -1)
        assert np.allclose(stats[name]["mean"], values.mean(0)), name
        assert np.allclose(stats[name]["std"], values.std(0)), name
        assert np.allclose(stats[name]["q99"], np.quantile(values, 0.99, axis=0)), name
        assert stats[name]["count"] == [sum(LENGTHS)]
    assert np.array(stats["observation.images.front"]["mean"]).shape == (3, 1, 1)


def test_the_times_that_were_measured_are_kept_beside_those_of_the_declared_rate(tmp_path: Path) -> None:
    told = facts(cameras=("front",))
    with Recorder(tmp_path, told, ["lerobot"], keep_free_bytes=0, now=lambda: 7.0, wall=lambda: 1_007.0) as recorder:
        for number, at_s in enumerate((10.0, 10.036, 10.064, 10.1)):
            frame = CameraFrame(picture(number), at_s - 0.01)
            recorder.observed(number, Observation(pose(number), {"front": frame}, None, at_s))
            recorder.ticked(tick(number, at_s))

    data = table_of(recorder.folder / "lerobot", "data")
    assert data["reflex.measured_unix_s"].to_pylist() == [1_010.0, 1_010.036, 1_010.064, 1_010.1]
    assert np.allclose(data["reflex.camera.front.unix_s"].to_pylist(), [1_009.99, 1_010.026, 1_010.054, 1_010.09])
    assert np.allclose(data["timestamp"].to_pylist(), np.arange(4) / 30)


def test_tasks_are_numbered_as_they_come(tmp_path: Path) -> None:
    with Recorder(tmp_path, facts(), ["lerobot"], keep_free_bytes=0) as recorder:
        for task in ("stack", "sort", "stack"):
            recorder.begin_episode(task)
            play(recorder, 6)
    root = recorder.folder / "lerobot"

    tasks = pq.read_table(root / "meta" / "tasks.parquet").to_pydict()
    assert tasks == {"task_index": [0, 1], "task": ["stack", "sort"]}
    pandas = json.loads(pq.read_schema(root / "meta" / "tasks.parquet").metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]
    assert table_of(root, "meta/episodes")["tasks"].to_pylist() == [["stack"], ["sort"], ["stack"]]
    assert sorted(set(table_of(root, "data")["task_index"].to_pylist())) == [0, 1]


def test_a_camera_that_changes_its_size_ends_the_episode_in_this_format_alone(tmp_path: Path) -> None:
    sizes = [(48, 64), (48, 64), (24, 32)]
    with Recorder(tmp_path, facts(cameras=None), ["jsonl", "lerobot"], keep_free_bytes=0) as recorder:
        for number, size in enumerate(sizes):
            at_s = 1.0 + number * TICK_S
            frame = CameraFrame(np.zeros((*size, 3), np.uint8), at_s)
            recorder.observed(number, Observation(pose(0), {"front": frame}, None, at_s))
            recorder.ticked(tick(number, at_s))

    assert "keep the camera's size" in recorder.problems["lerobot"]
    assert "jsonl" not in recorder.problems
    assert not (recorder.folder / "lerobot" / "meta" / "info.json").exists()


def test_a_cameras_name_leads_into_no_other_folder(tmp_path: Path) -> None:
    cameras = ("../up", "left/wrist")
    told = facts(cameras=cameras)
    with Recorder(tmp_path, told, ["jsonl", "mcap", "lerobot"], keep_free_bytes=0) as recorder:
        play(recorder, 6, cameras=cameras)

    assert recorder.problems == {}
    assert list(tmp_path.iterdir()) == [recorder.folder]
    names = [
        name for name in info_of(recorder.folder / "lerobot")["features"] if name.startswith("observation.images.")
    ]
    assert len(names) == 2
    assert not any("/" in name or ".." in name for name in names)


def test_a_run_without_cameras_and_one_of_odd_pictures_are_datasets_too(tmp_path: Path) -> None:
    blind = recorded(tmp_path / "a", ["lerobot"], {3: None}, facts=facts(cameras=()))
    with Recorder(tmp_path / "b", facts(cameras=("front",)), ["lerobot"], keep_free_bytes=0) as odd:
        frame = CameraFrame(np.zeros((47, 63, 3), np.uint8), 1.0)
        odd.observed(0, Observation(pose(0), {"front": frame}, None, 1.0))
        odd.ticked(tick(0, 1.0))

    assert info_of(blind / "lerobot")["video_path"] is None
    video = info_of(odd.folder / "lerobot")["features"]["observation.images.front"]
    assert (video["shape"], video["info"]["video.pix_fmt"]) == ([47, 63, 3], "yuv444p")
    assert decoded(odd.folder / "lerobot/videos/observation.images.front/chunk-000/file-000.mp4")[0] == [0.0]
