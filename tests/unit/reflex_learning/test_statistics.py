"""Statistics against those of numpy over everything, in every layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reflex_learning.errors import DatasetError
from reflex_learning.statistics import compute_stats, write_stats
from reflex_learning.validation.validating import validate
from support.datasets.defects import DEFECTS
from support.datasets.drafts import CAMERAS, LAYOUTS, Layout, healthy
from support.datasets.seeding import rewrite_table
from support.datasets.writing import make


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_they_are_those_of_all_frames(tmp_path: Path, layout: Layout) -> None:
    draft = healthy(layout)
    found = compute_stats(make(draft, tmp_path))

    for name in ("action", "index", "timestamp"):
        values = draft.all_of(name).reshape(len(draft.all_of(name)), -1).astype(np.float64)
        for key, wanted in (
            ("mean", values.mean(0)),
            ("std", values.std(0)),
            ("q99", np.quantile(values, 0.99, axis=0)),
        ):
            assert np.allclose(found[name][key], wanted), (name, key)
    assert list(found) == list(draft.info["features"])
    told = np.array(draft.stats[CAMERAS[0]]["mean"])
    assert found[CAMERAS[0]]["mean"].shape == (3, 1, 1)
    assert np.abs(found[CAMERAS[0]]["mean"] - told).max() < 0.02  # a video is not what was filmed


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["stats-range", "stats-moments", "stats-count", "stats-open", "stats-pictures"])
def test_written_they_mend_what_the_validator_found(tmp_path: Path, rule: str) -> None:
    root = DEFECTS[rule].make(tmp_path)
    assert [verdict.rule.id for verdict in validate(root).failed] == [rule]

    write_stats(root, compute_stats(root))

    assert validate(root).failed == []


def test_how_far_it_is_ends_with_all(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    compute_stats(make(healthy("image", (31, 32)), tmp_path), lambda done, total: told.append((done, total)))

    assert told[-1] == (63 * 3, 63 * 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def without_a_column(root: Path) -> None:
    rewrite_table(root / "data/chunk-000/file-001.parquet", lambda table: table.drop_columns(["frame_index"]))


def without_a_picture(root: Path) -> None:
    for file in root.glob(f"videos/{CAMERAS[0]}/*/*.mp4"):
        file.write_bytes(file.read_bytes().replace(b"stsz", b"free"))


def of_an_unknown_codec(root: Path) -> None:
    for file in root.glob(f"videos/{CAMERAS[0]}/*/*.mp4"):
        file.write_bytes(file.read_bytes().replace(b"avc1", b"zzzz"))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [without_a_column, without_a_picture, of_an_unknown_codec])
def test_a_dataset_that_lacks_something_has_none_and_is_validated_all_the_same(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    root = make(healthy("video", (31, 32)), tmp_path)
    damage(root)

    with pytest.raises(DatasetError):
        compute_stats(root)
    assert not validate(root).is_valid


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "said"), [("finite", "action holds a NaN"), ("picture-decodes", "row 3")])
def test_what_has_none_is_a_sentence_and_nothing_is_written(tmp_path: Path, rule: str, said: str) -> None:
    root = DEFECTS[rule].make(tmp_path)
    before = json.loads((root / "meta" / "stats.json").read_text())

    with pytest.raises(DatasetError, match=said):
        write_stats(root, compute_stats(root))
    assert json.loads((root / "meta" / "stats.json").read_text()) == before
