"""`reflex datasets validate`, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reflex.cli import app
from reflex_learning.validation import validating
from reflex_learning.validation.catalogue import ALL
from support.control.scripted import ScriptedControl, scripted_control
from support.datasets.defects import DEFECTS
from support.datasets.drafts import healthy
from support.datasets.writing import make

__all__ = ["scripted_control"]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return make(healthy("image", (31, 32)), tmp_path / "sound")


def test_a_sound_dataset_is_fit_for_training_and_ends_with_0(sound: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "validate", str(sound)])

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"{len(ALL) - 10} rules checked over 2 episodes, 63 frames, 126 pictures",
        f"{sound}: fit for training; 0 errors, 0 warnings",
    ]


@pytest.mark.slow
def test_an_error_has_its_place_and_its_fix_and_ends_with_1(tmp_path: Path) -> None:
    root = DEFECTS["video-frames"].make(tmp_path / "dataset")
    done = CliRunner().invoke(app, ["datasets", "validate", str(root)])

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "error video-frames, 1 time: it should be that videos have every frame that their episodes need",
        "  episode 3, frame 47, videos/observation.images.front/chunk-000/file-003.mp4: it holds 47 of its 52 frames",
        "  fix: copy the video anew, or delete the episode",
    ]
    assert f"{root}: not fit for training; 1 error, 0 warnings" in done.stderr


@pytest.mark.slow
def test_a_warning_leaves_the_dataset_fit(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "validate", str(DEFECTS["splits"].make(tmp_path / "dataset"))])

    assert done.exit_code == 0
    assert "warning splits, 1 time" in done.stdout


@pytest.mark.slow
def test_as_json_every_rule_has_its_state(tmp_path: Path) -> None:
    root = DEFECTS["info-open"].make(tmp_path / "dataset")
    done = CliRunner().invoke(app, ["datasets", "validate", str(root), "--json"])
    told = json.loads(done.stdout)

    assert (done.exit_code, told["valid"], told["errors"]) == (1, False, 1)
    assert {rule["id"]: rule["state"] for rule in told["rules"]} == {rule.id: "not_checked" for rule in ALL} | {
        "info-open": "failed"
    }
    assert told["rules"][0]["findings"][0]["file"] == "meta/info.json"


def test_a_page_is_written_beside_and_a_place_without_a_folder_is_one_sentence(sound: Path, tmp_path: Path) -> None:
    written = CliRunner().invoke(app, ["datasets", "validate", str(sound), "--html", str(tmp_path / "page.html")])
    refused = CliRunner().invoke(
        app, ["datasets", "validate", str(sound), "--html", str(tmp_path / "no" / "page.html")]
    )

    assert (written.exit_code, refused.exit_code) == (0, 1)
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert refused.stderr.endswith("give another --html\n")
    assert "frames" not in refused.stderr, "it is said before every frame is read"


def test_what_was_found_is_shown_also_where_its_page_cannot_be_written(sound: Path) -> None:
    typed = ["datasets", "validate", str(sound), "--html", "/dev/full"]
    shown, told = (CliRunner().invoke(app, [*typed, *options]) for options in ([], ["--json"]))

    assert (shown.exit_code, told.exit_code) == (1, 1)
    assert f"{sound}: fit for training" in shown.stderr
    assert shown.stderr.endswith("(No space left on device); give another --html\n")
    assert (json.loads(told.stdout)["error"], json.loads(told.stdout)["report"]["valid"]) == ("setup", True)


def test_what_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "validate", str(tmp_path / "nowhere")])

    assert done.exit_code == 1
    assert done.stderr == f"reflex: {tmp_path}/nowhere is no folder; give the folder of a LeRobot dataset\n"


def test_a_verdict_that_cannot_be_told_is_shown_all_the_same(
    sound: Path, tmp_path: Path, scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = validating.validate(sound)
    monkeypatch.setattr(validating, "validate", lambda *_: report)
    monkeypatch.setenv("REFLEX_API_KEY", "rfx_" + "0" * 36)
    words = ["datasets", "validate", "data_1", "--folder", str(sound), "--html", str(tmp_path / "page.html")]

    def typed(*options: str) -> Result:
        route, known = "POST /v1/datasets/data_1/validation", {"id": "data_1"}
        overtaken = {"error": "wrong_state", "message": "the dataset has changed since", "request_id": "req_1"}
        scripted_control.answers[route] = [known, (409, overtaken), known]
        return CliRunner().invoke(app, [*words, *options])

    shown, told = typed(), json.loads(typed("--json").stdout)
    assert shown.exit_code == 5
    assert f"{sound}: fit for training" in shown.stderr
    assert shown.stderr.endswith("run this command again\nreflex: the dataset has changed since\n")
    assert (told["error"], told["report"]["valid"]) == ("wrong_state", True)
    assert (tmp_path / "page.html").exists()
    assert [each.body["state"] for each in scripted_control.received][-1] == "registered"


def test_a_verdict_is_shown_also_where_ctrl_c_ends_the_telling(
    tmp_path: Path, scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, found: Callable[[object], object], **__: object) -> None:
        found(report)
        raise KeyboardInterrupt

    report = validating.validate(DEFECTS["info-open"].make(tmp_path / "dataset"))
    monkeypatch.setattr("reflex.control.dataset_validation.validate_registered", interrupted)
    monkeypatch.setenv("REFLEX_API_KEY", "rfx_" + "0" * 36)
    typed = ["datasets", "validate", "data_1", "--folder", str(tmp_path)]
    done, told = (CliRunner().invoke(app, [*typed, *options]) for options in ([], ["--json"]))

    assert (done.exit_code, told.exit_code) == (130, 130)
    assert "not fit for training" in done.stderr
    assert (json.loads(told.stdout)["error"], json.loads(told.stdout)["report"]["errors"]) == ("interrupted", 1)
    assert not scripted_control.received
