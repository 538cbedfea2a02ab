"""A deployment names a model that may be driven and addresses that can be asked; nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.registry.deployments import act_urls, create_deployment
from reflex_control.registry.models import revoke_model
from reflex_control.store.tables import robot_schema
from unit.reflex_control.scene import CONTENT_HASH, a_model, a_robot


def deploy(plane: Plane, actor: Actor, model_id: str, schema_id: str | None = None) -> dict[str, Any]:
    with plane.writing(actor) as writing:
        runtime = {"actUrl": "http://10.0.0.5:8000/act"}
        return create_deployment(writing, "cups", model_id, schema_id, runtime, "dry_run", None)


def test_a_deployment_is_written_down_with_its_receipt(plane: Plane, actor: Actor) -> None:
    a_robot(plane, actor)
    model = a_model(plane, actor)
    with plane.reading() as connection:
        schema_id = connection.scalar(select(robot_schema.c.id))

    made = deploy(plane, actor, model["id"], schema_id)

    assert (made["modelId"], made["robotSchemaId"], made["doctor"]) == (model["id"], schema_id, None)
    assert made["runtime"] == {"actUrl": ["http://10.0.0.5:8000"]}
    with plane.reading() as connection:
        receipt = receipts_of(connection, actor.organisation_id)[-1]
    assert (receipt["deploymentId"], receipt["modelVersion"]) == (made["id"], model["modelVersion"])
    assert (receipt["limitsHash"], receipt["mode"]) == (CONTENT_HASH, "dry_run")


def test_a_model_that_is_revoked_or_another_organisations_is_not_deployed(
    plane: Plane, actor: Actor, stranger: Actor
) -> None:
    identity = a_model(plane, actor)["id"]
    with pytest.raises(ServiceError) as unknown:
        deploy(plane, stranger, identity)
    with plane.writing(actor) as writing:
        revoke_model(writing, identity, None)
    with pytest.raises(ServiceError) as revoked:
        deploy(plane, actor, identity)

    assert (unknown.value.code, revoked.value.code) == ("invalid_value", "wrong_state")


def test_several_frontends_stand_without_the_path_of_act() -> None:
    urls = ["https://gpu-1/act", "http://[::1]:8000/", "http://gpu-2:8000/robots/act"]

    assert act_urls({"actUrl": urls}) == ["https://gpu-1", "http://[::1]:8000", "http://gpu-2:8000/robots"]


@pytest.mark.parametrize(
    "runtime",
    [
        {}, {"actUrl": []}, {"actUrl": ["http://a"] * 17}, {"actUrl": 7}, {"actUrl": "gpu-1:8000"},
        {"actUrl": "ftp://gpu-1"}, {"actUrl": "http://user:secret@gpu-1"}, {"actUrl": "http://gpu-1/?key=1"},
        {"actUrl": "http://gpu-1/#a"}, {"actUrl": "http://[::1"}, {"actUrl": "http://gpu-1:99999"},
        {"actUrl": "http://gpu\n1"}, {"actUrl": "http://"}, {"actUrl": "http://a", "other": 1},
        {"actUrl": {"http://a": 1}},
    ],
)  # fmt: skip
def test_a_runtime_that_names_no_address_is_refused(runtime: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as refused:
        act_urls(runtime)

    assert (refused.value.code, refused.value.context) == ("invalid_value", {"field": "runtime"})
