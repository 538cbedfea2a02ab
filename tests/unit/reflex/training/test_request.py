"""The bounds of a training run: each is broken here by one step beyond it, and kept by the value at it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reflex.training.request import FAMILIES, LoraOptions, TrainingRequest, family_problems, problems

GOOD = TrainingRequest(dataset_id="data_abc", base="act")
LORA = dataclasses.replace(GOOD, base="model:lerobot/smolvla_base", method="lora_finetune")


def of(request: TrainingRequest, **changed: Any) -> list[str]:
    return problems(dataclasses.replace(request, **changed))


def lora(**changed: Any) -> list[str]:
    return of(LORA, lora=LoraOptions(**changed))


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"base": "pi05"},
        {"base": "model:lerobot/smolvla_base"},
        {"steps": 1},
        {"steps": 10_000_000},
        {"steps": 100, "save_every": 50},
        {"steps": 100, "save_every": 100},
        {"steps": 6, "save_every": 6},
        {"base": "smolvla", "steps": 100, "warmup_steps": 50},
        {"base": "diffusion", "steps": 100, "warmup_steps": 0},
        {"learning_rate": 1e-4},
        {"then": ("export", "register"), "name": "pick-red_2"},
    ],
)
def test_what_lies_at_a_bound_is_kept(kept: dict[str, Any]) -> None:
    assert of(GOOD, **kept) == []


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"dataset_id": "../x"}, "dataset"),
        ({"base": "gpt"}, "base"),
        ({"base": "model:"}, "base"),
        ({"base": "model:a\nb"}, "base"),
        ({"method": "distill"}, "method"),
        ({"dtype": "float16"}, "dtype"),
        ({"steps": 0}, "steps"),
        ({"steps": 10_000_001}, "steps"),
        ({"steps": True}, "steps"),
        ({"batch_size": 0}, "batch size"),
        ({"seed": -1}, "seed"),
        ({"steps": 100, "save_every": 49}, "save frequency"),
        ({"steps": 100, "save_every": 101}, "save frequency"),
        ({"base": "pi0", "steps": 100, "warmup_steps": 51}, "warm-up"),
        ({"warmup_steps": 0}, "act has no warm-up"),
        ({"method": "lora_finetune"}, "no layers of act"),
        ({"base": "diffusion", "method": "lora_finetune"}, "no layers of diffusion"),
        ({"base": "smolvla", "method": "lora_finetune"}, "base must be model:"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"lora": LoraOptions()}, "full fine-tune"),
        ({"then": ("register",)}, "say export"),
        ({"then": ("export", "export")}, "then"),
        ({"then": ("deploy",)}, "then"),
        ({"name": "../etc"}, "name"),
        ({"name": "Pick"}, "name"),
    ],
)
def test_what_lies_beyond_a_bound_is_named(broken: dict[str, Any], word: str) -> None:
    (told,) = of(GOOD, **broken)
    assert word in told


@pytest.mark.parametrize("kept", [{"rank": 4}, {"rank": 64}, {"alpha": 1}, {"alpha": 256}, {"dropout": 0.5}])
def test_lora_options_at_their_bounds_are_kept(kept: dict[str, Any]) -> None:
    assert lora(**kept) == []


@pytest.mark.parametrize(
    "broken", [{"rank": 5}, {"rank": 128}, {"alpha": 0}, {"alpha": 257}, {"dropout": 0.51}, {"dropout": -0.1}]
)
def test_lora_options_beyond_their_bounds_are_named(broken: dict[str, Any]) -> None:
    (told,) = lora(**broken)
    assert next(iter(broken)) in told


def test_what_a_model_turns_out_to_be_decides_what_can_be_done_with_it() -> None:
    asked = dataclasses.replace(LORA, warmup_steps=5)
    assert problems(asked) == []
    broken = {family: len(family_problems(asked, family)) for family in FAMILIES}
    assert broken == {"act": 2, "diffusion": 1, "smolvla": 0, "pi0": 0, "pi05": 0}


def test_every_bound_that_is_broken_is_named_at_once() -> None:
    assert len(of(GOOD, steps=0, batch_size=0, dtype="int8", lora=LoraOptions(rank=3))) == 5


@pytest.mark.parametrize(("steps", "every"), [(6, 6), (100, 50), (3_000, 300), (20_000, 1_000), (10_000_000, 1_000)])
def test_how_often_is_saved_follows_the_steps(steps: int, every: int) -> None:
    request = dataclasses.replace(GOOD, steps=steps)
    assert request.saves_every == every
    assert of(request, save_every=request.saves_every) == []


def test_a_base_is_a_family_or_a_model() -> None:
    fine_tuned = dataclasses.replace(GOOD, base="model:owner/name")
    assert (GOOD.family, GOOD.model, fine_tuned.family, fine_tuned.model) == ("act", None, None, "owner/name")


def test_a_lora_run_without_options_has_the_default_ones() -> None:
    assert (LORA.lora_options, GOOD.lora_options) == (LoraOptions(), None)
