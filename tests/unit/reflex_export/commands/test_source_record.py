"""From a policy back to its checkpoint, with the statistics that its export was given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reflex.export_options import ExportOptions
from reflex.policy_config import PolicyConfig
from reflex_export.commands.source_record import read_origin
from reflex_export.errors import SourceError, StatisticsError
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import golden_folder
from support.checkpoints.random_checkpoint import write_safetensors

MEAN = [1.0, -20.0, 30.0, 10.0, 5.0, 30.0]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """It has no statistics of its own."""
    folder = Path(shutil.copytree(golden_folder("smolvla"), tmp_path / "checkpoint"))
    for path in folder.glob("policy_*.safetensors"):
        write_safetensors(path, {"so100.buffer.action.mean": np.ones(6, np.float32)})
    whole = {"mean": MEAN, "std": [20.0] * 6}
    (tmp_path / "stats.json").write_text(json.dumps({"observation.state": whole, "action": whole}))
    return folder


def exported(checkpoint: Path, stats: Path) -> PolicyConfig:
    options = ExportOptions(
        checkpoint.parent / "models", "arm", "so101", steps=(1,), stats=stats, check=False, source=str(checkpoint)
    )
    return export_checkpoint(read_checkpoint(checkpoint, stats=stats), options).policies[0]


def test_the_record_says_which_statistics_were_given(checkpoint: Path, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    config = exported(checkpoint, stats)
    assert config.stats == str(stats)
    rows = {row.feature: (row.mode, row.statistics, row.origin) for row in config.normalization}
    assert rows["action"] == ("MEAN_STD", ("mean", "std"), str(stats))
    assert rows["observation.images.camera1"] == ("IDENTITY", (), "")


def test_the_given_statistics_are_found_again(checkpoint: Path, tmp_path: Path) -> None:
    config = exported(checkpoint, tmp_path / "stats.json")
    assert read_origin(tmp_path / "models", config).action.statistics["mean"].tolist() == MEAN
    beside = config.model_copy(update={"stats": "stats.json"})
    assert read_origin(tmp_path / "models", beside).action.statistics["mean"].tolist() == MEAN


def test_given_statistics_that_are_gone_can_be_named_anew(checkpoint: Path, tmp_path: Path) -> None:
    config = exported(checkpoint, tmp_path / "stats.json")
    moved = (tmp_path / "stats.json").rename(tmp_path / "moved.json")
    with pytest.raises(SourceError, match=r"stats\.json does not exist"):
        read_origin(tmp_path / "models", config)
    assert read_origin(tmp_path / "models", config, stats=moved).action.origin == str(moved)


def test_without_them_the_checkpoint_is_still_refused(checkpoint: Path, tmp_path: Path) -> None:
    config = exported(checkpoint, tmp_path / "stats.json").model_copy(update={"stats": None})
    with pytest.raises(StatisticsError, match=r"only those of so100\.buffer\.action"):
        read_origin(tmp_path / "models", config)
