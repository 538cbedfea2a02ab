from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reflex_learning.default_policy.__main__ import main
from reflex_learning.default_policy.making import Making, summary
from reflex_learning.default_policy.recipe import Recipe
from reflex_learning.errors import TrainingError
from support.trainer.stub import dataset_in, stub_python

RECIPE = Recipe(steps=50, save_every=50, averaged=1, episodes=3, evaluated=4, ablated=2)
RATE = {"successes": 4, "played": 4, "interval": [0.51, 1.0]}


class Commands:
    """What the commands of `reflex` answer; the first evaluation is interrupted."""

    def __init__(self, folder: Path) -> None:
        recording = dataset_in(folder).rename(folder / "lerobot").parent
        lines = [{"episode": number, "success": number != 1} for number in range(3)]
        (recording / "episodes.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
        self.calls: list[str] = []
        self.interrupts = True
        self.answers: dict[str, dict[str, Any]] = {
            "connect": {"recordings": [str(recording)], "played": 3},
            "datasets": {"valid": True, "warnings": 0, "frames": 99},
            "export": {"policies": [{"policy_hash": "sha256:1"}]},
            "verify": {"verdict": "passed"},
            "eval": {**RATE, "ablations": [{"second": {**RATE, "without": "image"}, "difference": -1.0}]},
        }

    def __call__(self, *arguments: str) -> dict[str, Any]:
        self.calls.append(" ".join(arguments))
        if arguments[0] == "eval" and self.interrupts:
            self.interrupts = False
            raise KeyboardInterrupt
        return self.answers[arguments[0]]


@contextlib.contextmanager
def somewhere(_repository: Path, _policy: str) -> Iterator[str]:
    yield "http://somewhere"


def making(folder: Path, commands: Commands, said: list[str]) -> Making:
    stub_python(folder / "lerobot-env")
    return Making(
        recipe=RECIPE, folder=folder / "work", repository=folder / "models", lerobot=folder / "lerobot-env",
        say=said.append, reflex=commands, serve=somewhere,
    )  # fmt: skip


def test_an_interrupted_making_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_TRAINER", json.dumps({"step_s": 0.002}))
    commands, said = Commands(tmp_path), list[str]()

    with pytest.raises(KeyboardInterrupt):
        making(tmp_path, commands, said).make()
    made = making(tmp_path, commands, said).make()

    assert [each.split()[0] for each in commands.calls] == [
        "connect", "datasets", "export", "verify", "eval", "eval", "eval",
    ]  # fmt: skip
    assert made["demonstrations"]["succeeded"] == [0, 2]
    assert "--embodiment so101_sim --precision fp16" in commands.calls[2]
    assert "--seeds 10000:10004" in commands.calls[-2]
    assert "--at-least 0.9" in commands.calls[-2]
    assert "--seeds 10000:10002" in commands.calls[-1]
    assert "--ablate image=other --ablate state=other" in commands.calls[-1]
    assert summary(made)[:2] == ["success 4 of 4, 95 % interval 51.0 to 100.0 %", "without image: 4 of 4"]


def test_what_does_not_go_on_says_so_and_ends_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise TrainingError("no demonstration succeeded")

    monkeypatch.setattr("reflex_learning.default_policy.making.demonstrate", refuse)
    places = [word for name in ("folder", "repository", "lerobot") for word in (f"--{name}", str(tmp_path / name))]

    assert main([*places, "--steps", "50"]) == 1
    assert "reflex: no demonstration succeeded" in capsys.readouterr().err
