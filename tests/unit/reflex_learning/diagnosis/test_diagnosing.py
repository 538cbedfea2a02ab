"""Faults are named first and healthy set-ups raise no alarm; `make diagnose-table` tries all of them."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_learning.diagnosis.diagnosing import Plan, diagnose
from reflex_runner.simulation.axes import SIMULATED
from support.datasets.drafts import Draft
from support.diagnosis.answering import client_of
from support.diagnosis.breaking import Fault
from support.diagnosis.diagnosed import diagnosed, is_named, written
from support.diagnosis.faults import FAULTS, HEALTHY, Setup
from support.diagnosis.fitted import Fitted

BY_NAME = {fault.name: fault for fault in (*FAULTS, *HEALTHY)}
TRIED = (
    "recorded as the policy was trained",
    "red and blue exchanged",
    "the two cameras exchanged",
    "state in radians",
    "gripper inverted in state and actions",
    "exported without statistics",
    "the text of the other task",
    "limits of another robot",
)


@pytest.fixture
def setup(fitted: Fitted, held_out: Draft) -> Setup:
    return Setup(copy.deepcopy(held_out), fitted)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_a_fault_is_named_first_and_a_healthy_one_not_at_all(name: str, setup: Setup, tmp_path: Path) -> None:
    fault = BY_NAME[name]

    found = diagnosed(fault, setup, tmp_path)

    assert is_named(fault, found), [finding.line for finding in found.findings]
    json.dumps(found.told(), allow_nan=False)
    assert found.is_healthy == (not fault.named)


def meta(**changes: Any) -> Fault:
    return Fault("", (), lambda setup: setup.meta.update(changes))


@pytest.mark.slow
def test_another_rate_is_seen_without_a_replay(setup: Setup, tmp_path: Path) -> None:
    found = diagnosed(meta(fps=15), setup, tmp_path)

    assert found.findings[0].line == (
        "frame-rate: the dataset was recorded at another rate than the policy's actions are executed at "
        "(recorded at 15 Hz, executed at 30 Hz)"
    )


@pytest.mark.slow
def test_limits_that_what_was_recorded_breaks_explain_a_policy_without_any_skill(setup: Setup, tmp_path: Path) -> None:
    middle = setup.draft.all_of("action").mean(0)
    setup.robot = dataclasses.replace(
        SIMULATED,
        action_low=tuple((middle - 0.1).tolist()),
        action_high=tuple((middle + 0.1).tolist()),
        mean_state=tuple(middle.tolist()),
        stop_ladder=None,
    )
    found = diagnosed(meta(), setup, tmp_path)

    assert found.error == pytest.approx(found.mean_error, rel=0.05)
    assert [finding.kind for finding in found.findings] == ["guard"]


@pytest.mark.slow
def test_a_missing_camera_keeps_anything_from_being_asked(setup: Setup, tmp_path: Path) -> None:
    setup.draft.pictures.pop("observation.images.wrist")
    found = diagnosed(meta(), setup, tmp_path)

    assert [finding.kind for finding in found.findings] == ["camera-missing"]
    assert found.requests == 0


@pytest.mark.slow
def test_a_camera_may_be_given_by_name(setup: Setup, tmp_path: Path) -> None:
    setup.draft.pictures["observation.images.top"] = setup.draft.pictures.pop("observation.images.wrist")
    setup.draft.pictures["observation.images.side"] = setup.draft.pictures.pop("observation.images.front")
    root = written(setup, tmp_path / "dataset")

    with client_of(setup.fitted) as client:
        found = diagnose(client, "", root, Plan(24, cameras={"front": "side", "wrist": "top"}))

    assert not found.findings
    assert not [note for note in found.notes if "taken to be" in note]


@pytest.mark.slow
def test_the_time_for_all_of_it_is_kept(setup: Setup, tmp_path: Path) -> None:
    root = written(setup, tmp_path / "dataset")

    with client_of(setup.fitted) as client:
        found = diagnose(client, "", root, Plan(24, limit_s=1e-6))

    assert found.requests == 0
    assert found.notes == ["the time of 1e-06 s was over after 0 requests: not everything was tried"]


@pytest.mark.slow
def test_the_same_seed_chooses_the_same_frames(setup: Setup, tmp_path: Path) -> None:
    root = written(setup, tmp_path / "dataset")

    with client_of(setup.fitted) as client:
        first, again, other = (diagnose(client, "", root, Plan(24, seed=seed)) for seed in (0, 0, 1))

    assert first.error == again.error != other.error


@pytest.mark.parametrize(("frames", "limit_s"), [(23, 60.0), (513, 60.0), (32, 0.0), (32, float("nan"))])
def test_a_plan_has_bounds(frames: int, limit_s: float) -> None:
    with pytest.raises(SetupError):
        Plan(frames, limit_s=limit_s)
