"""Datasets over HTTP."""

from __future__ import annotations

from typing import Any, Final

from reflex.control import training_objects as objects
from reflex_control.http.operation import Call, Needs, Operation
from reflex_control.http.routes.training_bodies import NewDatasetBody, ValidationBody
from reflex_control.registry.finding import find, find_all
from reflex_control.store.tables import dataset
from reflex_control.training.datasets import (
    NewDataset,
    Validation,
    dataset_as_json,
    note_validation,
    register_dataset,
)

__all__ = ["DATASET_OPERATIONS", "READER", "TRAINER"]

TRAINER: Final = Needs.scope("train")
READER: Final = Needs.scope("read", "train")


def _register(call: Call) -> dict[str, Any]:
    body: NewDatasetBody = call.body
    new = NewDataset(**body.model_dump())
    return call.plane.create(call.who, call.repetition, lambda writing: register_dataset(writing, new))


def _list(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return {"datasets": [dataset_as_json(row) for row in find_all(connection, dataset, call.who.organisation_id)]}


def _get(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return dataset_as_json(find(connection, dataset, call.who.organisation_id, call.path["id"], what="dataset"))


def _validate(call: Call) -> dict[str, Any]:
    body: ValidationBody = call.body
    with call.plane.writing(call.who) as writing:
        return note_validation(writing, call.path["id"], Validation(**body.model_dump()))


DATASET_OPERATIONS: Final = (
    Operation("POST", "/v1/datasets", "Register a dataset by the hash of its content", TRAINER, _register,
              objects.Dataset, takes=NewDatasetBody, status=201),
    Operation("GET", "/v1/datasets", "Every dataset of the organisation", READER, _list, objects.Datasets),
    Operation("GET", "/v1/datasets/{id}", "One dataset, with the verdict on it", READER, _get, objects.Dataset),
    Operation("POST", "/v1/datasets/{id}/validation", "Say that a validation begins, or what it found", TRAINER,
              _validate, objects.Dataset, takes=ValidationBody),
)  # fmt: skip
