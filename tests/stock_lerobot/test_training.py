"""LeRobot's own trainer under our worker: it trains, goes on, and is exported; the stub trainer says what it says.

`make lerobot-training-test` makes the environment that it needs.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from reflex.training.request import TrainingRequest
from stock_lerobot.training import stock_python, trained
from support.trainer.stub import MemoryQueue, stub_python

STEPS = 6
REQUEST = TrainingRequest(dataset_id="d", base="act", steps=STEPS, batch_size=2, seed=3, then=("export",), name="reach")
TOLD = re.compile(r"Creating dataset|step:\d|Checkpoint policy after|End of training")
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?[KMB]?")
ONE_POLICYS = re.compile(r" l1_loss:.*")
"""What the stub does not know of a policy."""


@pytest.fixture(scope="module")
def lerobot() -> Path:
    return stock_python()


def shape(queue: MemoryQueue) -> list[str]:
    """The lines that say where a training is, without their numbers and places."""
    lines = [line.split(maxsplit=4)[-1] for line in queue.log if TOLD.search(line)]
    return [NUMBERS.sub("N", ONE_POLICYS.sub("", line)) for line in lines]


def files(folder: Path) -> set[str]:
    last = folder / "runs" / "run_1" / "training" / "checkpoints" / "last"
    assert not os.path.isabs(os.readlink(last))  # noqa: PTH115, PTH117  # as the link itself says
    found = {str(path.relative_to(last.resolve())) for path in last.resolve().rglob("*") if path.is_file()}
    return {name for name in found if "policy_p" not in name}


def test_the_real_trainer_trains_goes_on_and_says_what_the_stub_says(lerobot: Path, tmp_path: Path) -> None:
    real = trained(tmp_path / "real", lerobot, REQUEST)
    assert real.ending is not None
    assert real.ending.state == "succeeded", real.ending.reason
    assert real.ending.exported is not None
    assert real.ending.exported.parity["verdict"] == "passed"
    assert [metric.step for metric in real.metrics] == list(range(1, STEPS + 1))

    stub = trained(tmp_path / "stub", stub_python(tmp_path / "environment"), replace(REQUEST, then=()))
    assert shape(real) == shape(stub)
    assert files(tmp_path / "real") == files(tmp_path / "stub")

    more = replace(REQUEST, steps=STEPS + 3, then=())
    again = trained(tmp_path / "real", lerobot, more, attempt=2)
    assert again.ending is not None
    assert (again.ending.state, again.ending.steps) == ("succeeded", STEPS + 3)
    assert [metric.step for metric in again.metrics] == list(range(STEPS + 1, STEPS + 4))


def test_what_it_does_not_know_ends_it_with_its_words(lerobot: Path, tmp_path: Path) -> None:
    real = trained(tmp_path / "real", lerobot, replace(REQUEST, base="model:/no/such/model", then=()))

    assert real.ending is not None
    assert real.ending.state == "failed"
    assert real.ending.reason.startswith(("the trainer failed:", "LeRobot refused the run's arguments:"))
