"""A request becomes arguments that the trainer takes, of every family; what it has no word for is refused in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reflex.training.request import FAMILIES, LoraOptions, TrainingRequest
from reflex_learning.errors import TrainingError
from reflex_learning.training.argv import family_of, is_offline, resume_arguments, start_arguments
from reflex_learning.training.settings import TrainerSettings
from support.trainer.packages.lerobot.arguments import parse
from support.trainer.stub import dataset_in

SETTINGS = TrainerSettings(python=Path("python"), loaders=2)


def request(base: str = "act", **more: Any) -> TrainingRequest:
    return TrainingRequest(dataset_id="d", base=base, steps=1000, **more)


def model(folder: Path, kind: str) -> str:
    folder.joinpath("config.json").write_text(json.dumps({"type": kind}))
    return f"model:{folder}"


def started(folder: Path, asked: TrainingRequest) -> Sequence[str]:
    return start_arguments(asked, str(dataset_in(folder)), folder / "out", SETTINGS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_arguments_are_taken(tmp_path: Path, family: str) -> None:
    asked = request(family, dtype="bfloat16", learning_rate=1e-4, seed=7, batch_size=4, save_every=100)

    read = parse(list(started(tmp_path, asked)))

    assert read["policy.type"] == family
    assert (read["steps"], read["save_freq"], read["seed"], read["batch_size"]) == (1000, 100, 7, 4)
    assert read["dataset.root"] == str(tmp_path / "dataset")
    assert read["policy.push_to_hub"] is False
    assert read["wandb.enable"] is False
    assert read["policy.optimizer_lr"] == 1e-4
    assert read.get("policy.dtype", "amp" if read.get("policy.use_amp") else None) in ("bfloat16", "amp")


@pytest.mark.parametrize("family", ["diffusion", "smolvla", "pi0", "pi05"])
def test_a_warm_up_is_as_long_as_it_was_asked_for(tmp_path: Path, family: str) -> None:
    read = parse(list(started(tmp_path, request(family, warmup_steps=200))))

    assert read["policy.scheduler_warmup_steps"] == 200
    assert read.get("policy.scheduler_decay_steps", 1000) == 1000


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_model_is_fine_tuned_by_its_path(tmp_path: Path, kind: str) -> None:
    asked = request(model(tmp_path, kind))

    arguments = started(tmp_path, asked)

    assert f"--policy.path={tmp_path}" in arguments
    assert not any(each.startswith("--policy.type") for each in arguments)
    assert parse(list(arguments))["policy.type"] == kind
    assert family_of(asked) == kind


def test_what_no_request_names_is_said_once_at_the_beginning(tmp_path: Path) -> None:
    more = ("--policy.dim_model=128", "--dataset.episodes=[0, 2]")
    settings = TrainerSettings(python=Path("python"), more=more)
    dataset = str(dataset_in(tmp_path))

    assert start_arguments(request(), dataset, tmp_path / "out", settings)[-2:] == list(more)
    assert not set(more) & set(resume_arguments(request(), dataset, tmp_path / "out", settings))


def test_lora_is_said_as_lerobot_says_it(tmp_path: Path) -> None:
    asked = request(model(tmp_path, "smolvla"), method="lora_finetune", lora=LoraOptions(rank=16, alpha=32))

    read = parse(list(started(tmp_path, asked)))

    assert (read["peft.method_type"], read["peft.r"], read["peft.lora_alpha"]) == ("LORA", 16, 32)


def test_what_lerobot_has_no_word_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no warm-up"):
        started(tmp_path, request(warmup_steps=10))
    with pytest.raises(TrainingError, match="full_finetune"):
        started(tmp_path, request(model(tmp_path, "act"), method="lora_finetune"))
    with pytest.raises(TrainingError, match="'tdmpc'"):
        started(tmp_path, request(model(tmp_path, "tdmpc")))
    with pytest.raises(TrainingError, match="no folder of this worker"):
        start_arguments(request(), "/not/here", tmp_path, SETTINGS)


def test_a_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(TrainingError, match="cannot be read"):
        family_of(request(f"model:{tmp_path}"))


def test_a_run_goes_on_where_it_and_its_dataset_lie_now(tmp_path: Path) -> None:
    arguments = resume_arguments(request(), str(dataset_in(tmp_path)), tmp_path / "out", SETTINGS)

    assert "--resume=true" in arguments
    assert f"--config_path={tmp_path}/out/checkpoints/last/pretrained_model/train_config.json" in arguments
    assert f"--dataset.root={tmp_path / 'dataset'}" in arguments


def test_the_hub_is_asked_only_for_what_lies_there(tmp_path: Path) -> None:
    here = str(dataset_in(tmp_path))

    assert is_offline(request(), here)
    assert not is_offline(request("smolvla"), here)
    assert not is_offline(request(), "lerobot/pusht")
    assert not is_offline(request("model:lerobot/act_aloha"), here)
    assert "--dataset.repo_id=lerobot/pusht" in start_arguments(request(), "lerobot/pusht", tmp_path, SETTINGS)
