"""What was trained is exported, verified and registered by the product's own commands; a failure has its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import InvalidRequestError, TransportError
from reflex.model_repository import policies_of
from reflex.policy_config import read_policy_config
from reflex.processes.family import Family
from reflex.training.port import Ending
from reflex.training.request import TrainingRequest
from reflex_learning.training.reporting import Pace
from reflex_learning.training.running import Place, work_on
from reflex_learning.training.settings import TrainerSettings
from support.checkpoints.golden import golden_folder
from support.trainer.stub import MemoryQueue, claimed, dataset_in, stub_python

REQUEST = TrainingRequest(dataset_id="d", base="act", steps=50, then=("export", "register"), name="reach")
Work = Callable[..., Ending]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    monkeypatch.setenv("STUB_TRAINER", json.dumps({"golden": str(golden_folder("act"))}))
    family = Family()

    def worked(queue: MemoryQueue, register: Callable[[Path], object] | None, **more: Any) -> Ending:
        settings = TrainerSettings(python=stub_python(tmp_path / "environment"))
        place = Place(
            folder=tmp_path, settings=settings, repository=tmp_path / "models", register=register,
            pace=Pace(beat_s=0.01), **more,
        )  # fmt: skip
        ending = work_on(claimed(REQUEST, dataset_in(tmp_path)), queue, place, family)
        assert ending is not None
        return ending

    yield worked
    family.end()


@pytest.mark.slow
def test_a_trained_policy_is_exported_verified_and_registered(work: Work, tmp_path: Path) -> None:
    queue, asked = MemoryQueue([]), list[Path]()

    def register(policy: Path) -> None:
        asked.append(policy)
        if len(asked) == 1:
            raise TransportError("away")

    ending = work(queue, register)

    assert ending.state == "succeeded", ending.reason
    assert asked == [tmp_path / "models" / "reach"] * 2
    assert ending.exported is not None
    assert ending.exported.parity["verdict"] == "passed"
    config = read_policy_config(tmp_path / "models" / "reach")
    assert (ending.exported.model_hash, config.embodiment) == (config.policy_hash, "so101")

    again = work(MemoryQueue([]), lambda _: None)
    assert again.state == "succeeded", "what this very run has published is no obstacle to it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("register", "more", "reason"),
    [
        (None, {}, "this worker cannot register policies"),
        (lambda _: None, {"embodiment": "franka"}, "`reflex export` failed: the policy has 6 state"),
    ],
)
def test_what_fails_after_the_training_has_its_reason(
    work: Work, tmp_path: Path, register: Callable[[Path], object] | None, more: dict[str, Any], reason: str
) -> None:
    ending = work(MemoryQueue([]), register, **more)

    assert ending.state == "failed"
    assert reason in ending.reason
    assert policies_of(tmp_path / "models") == []


@pytest.mark.slow
def test_a_registration_that_is_refused_is_no_success(work: Work, tmp_path: Path) -> None:
    def refuse(_: Path) -> None:
        raise InvalidRequestError("conflict", "there is one of this name", status=409)

    ending = work(MemoryQueue([]), refuse)

    assert ending.state == "failed"
    assert "not registered" in ending.reason
    assert policies_of(tmp_path / "models") == ["reach"]
