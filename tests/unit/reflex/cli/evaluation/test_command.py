"""`reflex eval` plays, tells it for people, as JSON and as a page, and its exit code says whether it was enough."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import reflex
from reflex.cli import app

LINES = """\
hardware: {{kind: 'support.runner.reaching:{arm}'}}
target: {{kind: expert}}
session: {{mode: apply_actions, max_steps: 60}}
safety: {{ease_in_s: 0.1}}
"""


@pytest.fixture(autouse=True)
def expert_of_any_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expert belongs to the simulator; here it is that of a robot without physics."""
    from reflex_runner.config import robot_file

    monkeypatch.setattr(robot_file, "_refuse_contradictions", lambda _config: None)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A robot that cannot reach what every seventh seed asks for."""
    path = tmp_path / "robot.yaml"
    path.write_text(LINES.format(arm="Reaching"), "utf-8")
    return path


def evaluated(config: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["eval", "--config", str(config), "--seeds", "5:9", *more])


def test_the_rate_is_told_with_its_interval_and_each_episode_as_it_ends(config: Path) -> None:
    went = evaluated(config)
    assert went.exit_code == 0, went.output
    first, second = went.stdout.splitlines()
    assert first == "expert: success 3 of 4: 75.0 %, 95 % interval 30.1 to 95.4 %"
    assert second.startswith("median ")
    assert second.endswith(" times real time")
    assert (
        "reflex: 3 of 4: seed 7: no success (max_steps) after 60 steps; so far 66.7 % (20.8 to 93.9 %)" in went.stderr
    )


def test_what_is_below_the_wanted_rate_fails(config: Path) -> None:
    assert evaluated(config, "--at-least", "0.75").exit_code == 0
    below = evaluated(config, "--at-least", "0.76")
    assert below.exit_code == 1
    assert "the success rate is below --at-least 0.76" in below.stderr


def test_json_is_one_value_with_everything(config: Path) -> None:
    told = json.loads(evaluated(config, "--json", "--ablate", "image", "--ablate", "instruction=lift").stdout)
    assert (told["ok"], told["played"], told["successes"], told["rate"]) == (True, 4, 3, 0.75)
    assert [each["seed"] for each in told["episodes"]] == [5, 6, 7, 8]
    assert set(told["episodes"][0]) == {
        "seed", "instruction", "success", "endedBy", "steps", "clampedSteps", "latencyMs", "lastedS", "tookS",
        "fingerprint", "film",
    }  # fmt: skip
    assert [each["second"]["without"] for each in told["ablations"]] == ["image", "instruction=lift"]
    assert [each["identical"] for each in told["ablations"]] == [4, 4]


def test_ablations_are_a_table(config: Path) -> None:
    lines = evaluated(config, "--ablate", "image").stdout.splitlines()
    assert lines[-3].split()[:3] == ["taken", "away", "success"]
    assert lines[-1].split()[:3] == ["image", "75.0", "%"]
    assert lines[-1].endswith("0 / 0")


def test_a_page_and_a_folder_have_it_too(config: Path, tmp_path: Path) -> None:
    page, out = tmp_path / "report.html", tmp_path / "out"
    went = evaluated(config, "--html", str(page), "--out", str(out), "--ablate", "state")
    assert went.exit_code == 0, went.output
    text = page.read_text(encoding="utf-8")
    assert "3 of 4 succeeded: 75.0 %" in text
    assert "What the policy listens to" in text
    failed = [line for line in (out / "episodes.jsonl").read_text().splitlines() if '"success": false' in line]
    assert text.count("data:image/jpeg;base64,") == len(failed)
    assert "<script" not in text
    assert f"1 film of failures: {out / 'failures' / 'policy'}" in went.stdout


def test_ctrl_c_tells_what_was_played(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.runner.reaching import Reaching

    def interrupted(arm: Reaching, seed: int) -> None:
        if seed == 7:
            signal.raise_signal(signal.SIGINT)
        arm.seeds.append(seed)
        arm._begin(seed)

    monkeypatch.setattr(Reaching, "reset", interrupted)
    went = evaluated(config)
    assert went.exit_code == 130, went.output
    assert "success 2 of 2: 100.0 %" in went.stdout
    assert "2 were not played" in went.stdout


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--seeds", "ten"), "are no seeds; write them like 10000:10200"),
        (("--seeds", "9:5"), "give 1 to 100,000 seeds"),
        (("--ablate", "pictures"), "takes nothing away"),
        (("--ablate", "image=other", "--seeds", "3:4"), "needs two episodes"),
        (("--html", "nowhere/report.html"), "give another --html"),
    ],
)
def test_what_is_wrong_is_one_sentence(config: Path, more: tuple[str, ...], complaint: str) -> None:
    went = evaluated(config, *more)
    assert went.exit_code == 1
    assert complaint in went.stderr
    assert "Traceback" not in went.output


def test_the_sdk_does_the_same(config: Path) -> None:
    heard: list[Any] = []
    report = reflex.evaluate(config=config, seeds=range(5, 9), progress=heard.append, ablate=["state=other"])
    assert (report.evaluation.rate, len(report.ablations), len(heard)) == (0.75, 1, 8)
    with pytest.raises(AttributeError):
        report.evaluation.policy = "other"
