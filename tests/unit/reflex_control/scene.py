"""A robot, a schema and a model of an organisation, as most tests of the registry want them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import insert

from reflex.training.request import TrainingRequest
from reflex_control.identity.actor import Actor
from reflex_control.identity.ids import new_id
from reflex_control.plane import Plane
from reflex_control.registry.models import register_model
from reflex_control.store.tables import robot, robot_schema
from reflex_control.training.datasets import NewDataset, Validation, note_validation, register_dataset
from reflex_control.training.runs import start_run

__all__ = ["CONTENT_HASH", "a_model", "a_robot", "a_training_run"]

CONTENT_HASH: Final = "sha256:" + "5" * 64


def a_robot(plane: Plane, actor: Actor, name: str = "arm-1") -> str:
    """The id of a robot, of a schema that says nothing."""
    schema_id, robot_id = new_id("schema"), new_id("robot")
    common: dict[str, Any] = {"organisation_id": actor.organisation_id, "name": name, "created_at": plane.clock()}
    with plane.writing(actor) as writing:
        writing.connection.execute(
            insert(robot_schema).values(id=schema_id, schema={}, limits_hash=CONTENT_HASH, simulation=False, **common)
        )
        writing.connection.execute(insert(robot).values(id=robot_id, robot_schema_id=schema_id, **common))
    return robot_id


def a_model(plane: Plane, actor: Actor, name: str = "pick_cup") -> dict[str, Any]:
    with plane.writing(actor) as writing:
        return register_model(writing, name, CONTENT_HASH, {"family": "act", "trained": True}, None)


def a_training_run(plane: Plane, actor: Actor) -> dict[str, Any]:
    """One that waits, on a dataset that is valid."""
    new = NewDataset(name="cubes", place="cubes", content_hash=CONTENT_HASH, files=3, size_bytes=30)
    with plane.writing(actor) as writing:
        dataset_id = register_dataset(writing, new)["id"]
        note_validation(writing, dataset_id, Validation(content_hash=CONTENT_HASH, state="valid"))
        return start_run(writing, TrainingRequest(dataset_id=dataset_id, base="act"), None)
