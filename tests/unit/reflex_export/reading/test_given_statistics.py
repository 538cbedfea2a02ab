from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex_export.errors import CheckpointError, SourceError, StatisticsError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.given_statistics import read_given_statistics
from support.checkpoints.random_checkpoint import write_safetensors
from unit.reflex_export.reading.damage import CopyCheckpoint, edit_json
from unit.reflex_export.reading.test_any_json import STRANGE, places, replaced

SIX = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
WHOLE = {"mean": SIX, "std": SIX, "min": [-9.0] * 6, "max": [9.0] * 6, "count": [100]}
STATS = {"observation.state": WHOLE, "action": WHOLE, "timestamp": {"mean": [1.5], "std": [0.5]}}


def write_dataset(folder: Path, name: str, content: object) -> Path:
    (folder / "meta").mkdir(parents=True)
    lines = content if isinstance(content, list) else [content]
    (folder / "meta" / name).write_text("\n".join(json.dumps(line) for line in lines))
    return folder


def episode(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """As a dataset of version 2.1 has it."""
    stats = {"mean": values.mean(axis=0), "std": values.std(axis=0), "min": values.min(axis=0)}
    stats |= {"max": values.max(axis=0), "count": np.array([len(values)])}
    return {"episode_index": 0, "stats": {"action": {name: value.tolist() for name, value in stats.items()}}}


def inert(copy: CopyCheckpoint) -> Path:
    """A SmolVLA checkpoint whose statistics are another robot's."""
    folder = copy("smolvla")
    for path in folder.glob("policy_*.safetensors"):
        write_safetensors(path, {"so100.buffer.action.mean": np.ones(6, np.float32)})
    return folder


def test_a_datasets_folder_repairs_a_checkpoint_without_statistics(copy: CopyCheckpoint, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", "stats.json", STATS)
    checkpoint = read_checkpoint(inert(copy), stats=dataset)
    for normalizer in (checkpoint.state, checkpoint.action):
        assert normalizer.mode == "MEAN_STD"
        assert normalizer.statistics["mean"].tolist() == SIX
        assert (normalizer.origin, normalizer.replaces) == (str(dataset / "meta/stats.json"), "")


def test_a_checkpoint_of_before_the_processor_files_is_repaired_too(copy: CopyCheckpoint, tmp_path: Path) -> None:
    folder = copy("smolvla")
    for path in folder.glob("policy_*"):
        path.unlink()
    checkpoint = read_checkpoint(folder, stats=write_dataset(tmp_path / "data", "stats.json", STATS))
    assert checkpoint.action.statistics["mean"].tolist() == SIX


@pytest.mark.parametrize("name", ["stats.json", "somewhere/else.json", "stats.safetensors"])
def test_one_file_by_itself_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(STATS))
    else:
        write_safetensors(path, {"action.mean": np.array(SIX, np.float32), "observation.state.std": np.ones(6)})
    found = read_given_statistics(path)
    assert found["action"].values["mean"].tolist() == SIX
    assert found["action"].origin == str(path)


def test_episodes_are_pooled_to_what_all_frames_have(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    frames = [random.normal(size, size, (size, 6)) for size in (3, 50, 7)]
    dataset = write_dataset(tmp_path / "data", "episodes_stats.jsonl", [episode(values) for values in frames])

    found = read_given_statistics(dataset)["action"].values

    whole = np.concatenate(frames)
    wanted = {"mean": whole.mean(0), "std": whole.std(0), "min": whole.min(0), "max": whole.max(0)}
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)


def test_quantiles_that_the_given_statistics_lack_are_named(copy: CopyCheckpoint, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", "stats.json", STATS)
    with pytest.raises(StatisticsError, match=r"observation\.state is normalised by QUANTILES.*lack q01 and q99"):
        read_checkpoint(copy("pi05"), stats=dataset)


def test_a_checkpoints_own_statistics_that_differ_are_replaced_and_named(copy: CopyCheckpoint, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(copy("smolvla"), stats=write_dataset(tmp_path / "data", "stats.json", STATS))
    assert checkpoint.action.statistics["std"].tolist() == SIX
    assert checkpoint.action.replaces.startswith("policy_postprocessor")


def test_a_checkpoints_own_statistics_given_again_replace_nothing(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    own = read_checkpoint(folder, stats=next(folder.glob("policy_pre*.safetensors")))
    assert (own.state.replaces, own.action.replaces) == ("", "")


def test_cameras_of_a_dataset_are_renamed_as_observations_are(copy: CopyCheckpoint, tmp_path: Path) -> None:
    folder = copy("act")
    renames = {"observation.images.front": "observation.images.top"}
    edit_json(
        folder / "policy_preprocessor.json", lambda pipeline: pipeline["steps"][0]["config"].update(rename_map=renames)
    )
    front = {"mean": [[[0.1]], [[0.2]], [[0.3]]], "std": [[[0.5]], [[0.5]], [[0.5]]]}
    dataset = write_dataset(tmp_path / "data", "stats.json", {"observation.images.front": front})
    images = read_checkpoint(folder, stats=dataset).images
    assert images["observation.images.top"].statistics["mean"].ravel().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_statistics_that_nothing_uses_are_refused(copy: CopyCheckpoint, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", "stats.json", {"timestamp": WHOLE})
    with pytest.raises(StatisticsError, match="has statistics of timestamp, and this policy normalises none of it"):
        read_checkpoint(copy("smolvla"), stats=dataset)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300"])
def test_given_statistics_are_checked_like_others(number: str, copy: CopyCheckpoint, tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text(json.dumps(STATS).replace("6.0", number))
    with pytest.raises(StatisticsError, match="is not finite"):
        read_checkpoint(copy("smolvla"), stats=path)


@pytest.mark.parametrize("axes", [1, 5, 7])
def test_statistics_of_another_number_of_axes_are_refused(axes: int, copy: CopyCheckpoint, tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({"action": {"mean": [0.5] * axes, "std": [1.5] * axes}}))
    with pytest.raises(StatisticsError, match=rf"action\.mean has the shape \({axes},\).*wants \(6,\)"):
        read_checkpoint(copy("smolvla"), stats=path)


def test_a_feature_that_nobody_uses_may_be_damaged(copy: CopyCheckpoint, tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({**STATS, "temperature": {"mean": [float("nan")]}}))
    assert read_checkpoint(copy("smolvla"), stats=path).action.statistics["mean"].tolist() == SIX


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("stats.json", "[]", "must be an object"),
        ("stats.json", "{", "is no JSON"),
        ("stats.json", '{"action": {"mean": [1], "mean": [2]}}', "the name 'mean' occurs twice"),
        ("stats.json", '{"action": 3}', "action must be an object"),
        ("stats.json", '{"action": {"mean": ["a"]}}', r"action\.mean is no array of numbers"),
        ("stats.json", '{"action": {"mean": [[1], [1, 2]]}}', r"action\.mean is no array of numbers"),
        ("stats.json", '{"action": {"mean": []}}', r"action\.mean is empty"),
        ("episodes_stats.jsonl", '{"episode_index": 0}', "line 1: stats must be an object"),
        ("stats.json", "{}", r"--stats .*stats\.json holds no statistics; give a dataset's"),
        ("stats.json", '{"action": {"count": [3]}}', r"stats\.json holds no statistics"),
        ("episodes_stats.jsonl", "", r"episodes_stats\.jsonl holds no statistics"),
        ("stats.txt", "", "none of .json, .jsonl and .safetensors"),
    ],
)
def test_a_file_that_holds_no_statistics_is_refused(name: str, content: str, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=why):
        read_given_statistics(tmp_path / name)


def test_weights_hold_no_statistics(copy: CopyCheckpoint) -> None:
    with pytest.raises(StatisticsError, match=r"--stats .*model\.safetensors holds no statistics"):
        read_given_statistics(copy("act") / "model.safetensors")


def test_episodes_of_different_robots_are_refused(tmp_path: Path) -> None:
    lines = [episode(np.ones((5, 6))), episode(np.ones((5, 7)))]
    with pytest.raises(StatisticsError, match="another length in some episodes"):
        read_given_statistics(write_dataset(tmp_path / "data", "episodes_stats.jsonl", lines))


def test_a_dataset_that_is_not_there_is_refused_with_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not exist.*hf download DATASET --repo-type dataset"):
        read_given_statistics(tmp_path / "data")
    with pytest.raises(SourceError, match=r"has no meta/stats\.json and no meta/episodes_stats\.jsonl"):
        read_given_statistics(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stats.json", "episodes_stats.jsonl"])
def test_a_strange_value_anywhere_in_given_statistics_is_read_or_refused(name: str, copy: CopyCheckpoint) -> None:
    folder = copy("act")
    path = folder / name
    whole = {"observation.state": WHOLE, "action": WHOLE}
    content = whole if name == "stats.json" else {"episode_index": 0, "stats": whole}
    outcomes = set()
    for number, place in enumerate(places(content)):
        for value in STRANGE[number % 3 :: 3]:
            path.write_text(json.dumps(replaced(content, place, value)))
            try:
                read_checkpoint(folder, stats=path)
                outcomes.add("read")
            except CheckpointError:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}
