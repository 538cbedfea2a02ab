"""A run over HTTP is a `TrainingRequest`: the same fields, the same defaults, the same bounds."""

from __future__ import annotations

import dataclasses

from reflex.training.forms import as_json
from reflex.training.request import LoraOptions, TrainingRequest
from reflex_control.http.routes.training_bodies import LoraBody, NewRun

LEAST = TrainingRequest(dataset_id="data_1", base="act")


def names(of: type) -> set[str]:
    return {field.name for field in dataclasses.fields(of)}


def test_a_body_has_the_fields_of_a_request_and_its_id() -> None:
    assert set(NewRun.model_fields) == names(TrainingRequest) | {"request_id"}
    assert set(LoraBody.model_fields) == names(LoraOptions)


def test_what_is_not_given_is_what_a_request_has_by_default() -> None:
    assert NewRun.model_validate({"datasetId": "data_1", "base": "act"}).request() == LEAST
    assert LoraBody.model_validate({}).model_dump() == dataclasses.asdict(LoraOptions())


def test_a_request_comes_back_from_its_body() -> None:
    whole = dataclasses.replace(
        LEAST, base="model:a/b", method="lora_finetune", save_every=50, warmup_steps=10, dtype="bfloat16",
        learning_rate=1e-4, lora=LoraOptions(rank=4, alpha=2, dropout=0.1), then=("export",), name="pick",
    )  # fmt: skip
    assert NewRun.model_validate(as_json(whole)).request() == whole
