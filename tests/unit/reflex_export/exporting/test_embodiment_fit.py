from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.embodiments import load_embodiment
from reflex.policy_config import read_policy_config
from reflex_export.checkpoint import Checkpoint, Normalizer
from reflex_export.errors import UnitsError
from reflex_export.exporting.embodiment_fit import check_units
from support.checkpoints.golden import golden_checkpoint, golden_folder
from unit.reflex_export.exporting.test_units_fit import (
    DEGREES,
    OLD_ZERO,
    PERCENT,
    RADIANS,
    TICKS,
    TURNED,
    Ends,
    extremes,
)
from unit.reflex_export.reading.damage import edit_tensors

SO101 = load_embodiment("so101")


def policy(ends: Ends) -> Checkpoint:
    return replace(golden_checkpoint("act"), action=extremes(ends), state=extremes(ends))


@pytest.mark.parametrize("ends", [RADIANS, TICKS, OLD_ZERO, TURNED])
def test_what_cannot_be_this_robots_is_refused_unless_somebody_has_checked_it(ends: Ends) -> None:
    with pytest.raises(UnitsError, match=r"not those of embodiment so101\. .*--units-checked publishes all the same"):
        check_units(policy(ends), SO101, is_checked=False)
    assert check_units(policy(ends), SO101, is_checked=True)


def test_what_is_only_odd_is_a_warning() -> None:
    (warning,) = check_units(policy(PERCENT), SO101, is_checked=False)
    assert "so101_percent would fit" in warning


POSE = np.array([10, -20, 30, 40, 50, 60], np.float32)


@pytest.mark.parametrize(
    ("normalizer", "names"),
    [
        (Normalizer("MEAN_STD", {"mean": POSE, "std": 0 * POSE}), "mean and std"),
        (Normalizer("MIN_MAX", {"min": POSE, "max": POSE}), "min and max"),
        (Normalizer("QUANTILES", {"q01": POSE, "q99": POSE}), "q01 and q99"),
    ],
)
def test_statistics_without_any_spread_are_a_warning(normalizer: Normalizer, names: str) -> None:
    still = replace(golden_checkpoint("act"), action=normalizer, state=normalizer)
    warnings = check_units(still, SO101, is_checked=False)
    assert [warning.partition(":")[0] for warning in warnings] == ["observation.state", "action"]
    assert all(f"no axis has any spread in the statistics ({names})" in warning for warning in warnings)


def test_one_axis_that_moved_is_spread_enough() -> None:
    std = np.array([0, 0, 0, 0, 0, 1], np.float32)
    moved = Normalizer("MEAN_STD", {"mean": POSE, "std": std})
    assert check_units(replace(golden_checkpoint("act"), action=moved, state=moved), SO101, is_checked=False) == ()


@pytest.mark.parametrize("name", ["act", "smolvla", "pi0", "pi05"])
def test_no_recorded_checkpoint_is_warned_of(name: str) -> None:
    assert check_units(golden_checkpoint(name), SO101, is_checked=False) == ()


def test_what_is_right_is_not_mentioned() -> None:
    assert check_units(policy(DEGREES), SO101, is_checked=False) == ()


def test_given_statistics_that_differ_from_the_checkpoints_own_are_a_warning() -> None:
    right = policy(DEGREES)
    given = replace(right, action=replace(right.action, replaces="policy_postprocessor.safetensors"))
    (warning,) = check_units(given, SO101, is_checked=False)
    assert "action: the given statistics are not those of policy_postprocessor.safetensors" in warning


def test_a_policy_in_other_units_is_published_only_by_a_person_who_knows(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(golden_folder("act"), tmp_path / "checkpoint"))
    for path in folder.glob("policy_*.safetensors"):
        edit_tensors(path, lambda tensors: tensors.update(_in_radians()))
    asked = ["export", str(folder), "--name", "pick", "--embodiment", "so101", "--no-check", "-r", str(tmp_path / "m")]

    refused = CliRunner().invoke(app, [*asked, "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"] == "units"
    assert not (tmp_path / "m" / "pick").exists()

    published = CliRunner().invoke(app, [*asked, "--units-checked", "--json"])
    assert published.exit_code == 0
    (warning,) = json.loads(published.stdout)["warnings"]
    assert "reads as radians" in warning
    assert read_policy_config(tmp_path / "m" / "pick").warnings == (warning,)


def _in_radians() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    low, high = (np.array(values, np.float32) for values in RADIANS)
    return {
        f"{name}.{kind}": ends
        for name in ("action", "observation.state")
        for kind, ends in (("min", low), ("max", high))
    }
