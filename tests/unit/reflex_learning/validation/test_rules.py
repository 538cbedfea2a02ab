"""Every rule fails on a defect of its own, alone, and is silent on datasets that are sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.connector import CameraFrame, Observation
from reflex_learning.validation.catalogue import ALL
from reflex_learning.validation.validating import validate
from reflex_runner.recording.recorder import Recorder
from support.datasets.defects import DEFECTS
from support.datasets.drafts import LAYOUTS, LENGTHS, Layout, healthy
from support.datasets.writing import make
from support.run_recording.runs import facts, tick


def test_every_rule_has_a_name_of_its_own_and_a_defect() -> None:
    names = [rule.id for rule in ALL]

    assert len(names) >= 40
    assert sorted(names) == sorted(set(names)) == sorted(DEFECTS)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sound_dataset_breaks_no_rule(tmp_path: Path, layout: Layout) -> None:
    report = validate(make(healthy(layout), tmp_path / "dataset"))

    assert [(verdict.rule.id, verdict.findings) for verdict in report.failed] == []
    assert (report.episodes, report.frames, report.pictures) == (len(LENGTHS), sum(LENGTHS), 2 * sum(LENGTHS))
    unasked = {verdict.rule.id for verdict in report.verdicts.values() if not verdict.is_checked}
    assert all(name.startswith("video-") for name in unasked)
    assert (layout == "image") == bool(unasked)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["lerobot", "lerobot_png"])
def test_what_our_recorder_wrote_breaks_no_rule(tmp_path: Path, form: str) -> None:
    told = facts(cameras=("front", "wrist"))
    with Recorder(tmp_path, told, [form], marked_episodes=True, keep_free_bytes=0) as recorder:
        for number in range(2):
            recorder.begin_episode()
            _move(recorder, number)
            recorder.end_episode(success=True)
    report = validate(recorder.folder / "lerobot")

    assert [(verdict.rule.id, verdict.findings) for verdict in report.failed] == []
    assert (report.episodes, report.frames, report.pictures) == (2, 80, 160)


def _move(recorder: Recorder, number: int) -> None:
    """An arm and its cameras, thirty times a second."""
    draft, begin_s = healthy("image", (40, 40)), 100.0 + number * 10
    states, actions = (draft.episodes[number][name] for name in ("observation.state", "action"))
    for frame in range(40):
        at_s = begin_s + frame / 30
        shown = {name.rpartition(".")[2]: pictures[number][frame] for name, pictures in draft.pictures.items()}
        frames = {name: CameraFrame(pixels, at_s - 0.001) for name, pixels in shown.items()}
        recorder.observed(frame, Observation(states[frame], frames, "pick up the cube", at_s - 0.001))
        recorder.ticked(tick(frame, at_s, measured=states[frame], command=actions[frame]))


@pytest.mark.slow
@pytest.mark.parametrize("rule", DEFECTS)
def test_a_defect_is_found_by_its_rule_alone(tmp_path: Path, rule: str) -> None:
    report = validate(DEFECTS[rule].make(tmp_path / "dataset"))

    assert {verdict.rule.id: verdict.findings for verdict in report.failed}.keys() == {rule}, report.failed
    verdict = report.verdicts[rule]
    assert verdict.findings[0].says
    assert report.is_valid == (verdict.rule.severity == "warning")
