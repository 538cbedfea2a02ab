from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_bench.in_process.measuring import Found, Measuring
from reflex_learning.errors import TrainingError
from reflex_runner.evaluation.intervals import Pairs


class Commands:
    """Both win every seed but those whose number is one of these; the second evaluation is interrupted."""

    def __init__(self, served: tuple[int, ...] = (), own: tuple[int, ...] = ()) -> None:
        self.lost = (served, own)
        self.calls: list[str] = []

    def __call__(self, *arguments: str) -> dict[str, Any]:
        self.calls.append(" ".join(arguments))
        if arguments[0] == "verify":
            return {"verdict": "passed"}
        if len(self.calls) == 3:
            raise KeyboardInterrupt
        first, last = map(int, arguments[arguments.index("--seeds") + 1].split(":"))
        lost, also = ({seed for seed in range(first, last) if seed in each} for each in self.lost)
        episodes = [{"steps": seed} for seed in range(first, last)]
        return {
            "episodes": episodes,
            "against": {
                "both": last - first - len(lost | also), "firstOnly": sorted(also - lost),
                "secondOnly": sorted(lost - also), "neither": len(lost & also),
                "second": {"episodes": [{"steps": 0}, *episodes[1:]]},
            },
        }  # fmt: skip


@pytest.fixture
def started() -> list[str]:
    return []


@pytest.fixture
def measuring(tmp_path: Path, started: list[str]) -> Measuring:
    @contextlib.contextmanager
    def somewhere(place: Path, what: object) -> Iterator[str]:
        started.append(place.name)
        yield f"http://{place.name}"

    for file, content in (
        ("models/pick/reflex_config.json", json.dumps({"policy_hash": "sha256:1"})),
        ("checkpoint/model.safetensors", "weights"), ("lerobot/bin/python", ""),
    ):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(content)
    return Measuring(
        checkpoint=tmp_path / "checkpoint", lerobot=tmp_path / "lerobot", repository=tmp_path / "models", policy="pick",
        folder=tmp_path / "played", seeds=range(100, 125), batch=10, picture_px=64, instruction="pick it up",
        say=lambda _: None, reflex=Commands((101, 102, 124), (101, 103)), serve=somewhere, run=somewhere,
    )  # fmt: skip


def test_both_kinds_of_pictures_are_counted_and_an_interrupted_one_goes_on(
    measuring: Measuring, started: list[str]
) -> None:
    commands = measuring.reflex
    assert isinstance(commands, Commands)
    with pytest.raises(KeyboardInterrupt):
        measuring.measure()
    jpeg, raw = measuring.measure()

    assert (jpeg.pictures, raw.pictures) == ("jpeg", "raw")
    assert jpeg.pairs == raw.pairs == Pairs(both=21, first_only=1, second_only=2, neither=1)
    assert jpeg.same_steps == 22, "the first of each batch differs"
    seeds = [each.partition("--seeds ")[2].split()[:2] for each in commands.calls if each.startswith("eval")]
    batches = ["100:110", "110:120", "120:125"]
    wanted = [*([each, "--jpeg"] for each in batches), *([each, "--raw"] for each in batches)]
    assert seeds == [wanted[0], wanted[1], *wanted[1:]], "what was interrupted is played again, and nothing else"
    assert all("--url http://models --against http://lerobot" in each for each in commands.calls if "eval" in each)
    assert started == ["models", "lerobot"] * 2

    more = replace(measuring, seeds=range(100, 120)).measure()
    assert started == ["models", "lerobot"] * 2, "all of it was played"
    assert more[0].pairs.total == 20


def test_another_policy_does_not_go_on_in_its_folder(measuring: Measuring) -> None:
    with pytest.raises(KeyboardInterrupt):
        measuring.measure()
    (measuring.checkpoint / "model.safetensors").write_text("others")
    with pytest.raises(TrainingError, match="another folder with --folder"):
        measuring.measure()


@pytest.mark.parametrize("name", ["checkpoint/model.safetensors", "models/pick/reflex_config.json"])
def test_what_is_missing_is_named(measuring: Measuring, name: str) -> None:
    (measuring.folder.parent / name).unlink()
    with pytest.raises(SetupError, match=rf"there is no .*{name}: give .*make train-default"):
        measuring.measure()


def test_equal_is_an_interval_that_holds_0_and_reaches_no_further_than_the_margin() -> None:
    assert Found("jpeg", Pairs(188, 1, 1, 10), 0).is_equal
    assert not Found("jpeg", Pairs(18, 1, 1, 0), 0).is_equal, "too few"
    assert not Found("jpeg", Pairs(170, 20, 0, 10), 0).is_equal, "the second is worse"
    assert not Found("jpeg", Pairs(9000, 100, 0, 900), 0).is_equal, "by little, and surely"
