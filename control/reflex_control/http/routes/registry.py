"""Models, robot schemas and deployments over HTTP."""

from __future__ import annotations

from typing import Any, Final

from reflex.control import objects
from reflex_control.doctor.examining import examine
from reflex_control.http.operation import Call, Needs, Operation
from reflex_control.http.routes.bodies import NewDeployment, NewModel, NewRobotSchema, Nothing, WithReason
from reflex_control.registry.deployments import create_deployment, deployment_as_json, deployments_of
from reflex_control.registry.finding import find, find_all
from reflex_control.registry.models import model_as_json, register_model, revoke_model
from reflex_control.registry.schemas import register_schema, schema_as_json
from reflex_control.sessions.life import end_those_of
from reflex_control.store.tables import deployment, model, robot_schema

__all__ = ["READ", "REGISTRY_OPERATIONS", "WRITE"]

READ: Final = Needs.scope("read")
WRITE: Final = Needs.scope("write")
EXAMINER: Final = Needs.scope("write", "sessions")


def _register_model(call: Call) -> dict[str, Any]:
    new: NewModel = call.body
    return call.plane.create(
        call.who,
        call.repetition,
        lambda writing: register_model(writing, new.name, new.content_hash, new.config, new.source),
    )


def _list_models(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return {"models": [model_as_json(row) for row in find_all(connection, model, call.who.organisation_id)]}


def _get_model(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return model_as_json(find(connection, model, call.who.organisation_id, call.path["id"], what="model"))


def _revoke_model(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        row = revoke_model(writing, call.path["id"], call.body.reason)
        for deployed in deployments_of(writing.connection, row.id):
            end_those_of(writing, "its model was revoked", deployment_id=deployed)
        return model_as_json(row)


def _create_deployment(call: Call) -> dict[str, Any]:
    new: NewDeployment = call.body
    return call.plane.create(
        call.who,
        call.repetition,
        lambda writing: create_deployment(
            writing, new.name, new.model_id, new.robot_schema_id, new.runtime, new.mode, new.spec
        ),
    )


def _list_deployments(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        rows = find_all(connection, deployment, call.who.organisation_id)
        return {"deployments": [deployment_as_json(row) for row in rows]}


def _get_deployment(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        owner = call.who.organisation_id
        return deployment_as_json(find(connection, deployment, owner, call.path["id"], what="deployment"))


def _examine(call: Call) -> dict[str, Any]:
    return examine(call.plane, call.who, call.path["id"])


def _register_schema(call: Call) -> dict[str, Any]:
    new: NewRobotSchema = call.body
    return call.plane.create(
        call.who, call.repetition, lambda writing: register_schema(writing, new.name, new.schema_, new.robot_kind)
    )


def _list_schemas(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        rows = find_all(connection, robot_schema, call.who.organisation_id)
        return {"robotSchemas": [schema_as_json(row) for row in rows]}


def _get_schema(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        owner = call.who.organisation_id
        return schema_as_json(find(connection, robot_schema, owner, call.path["id"], what="robot schema"))


REGISTRY_OPERATIONS: Final = (
    Operation("POST", "/v1/models", "Register an exported policy", WRITE, _register_model, objects.Model,
              takes=NewModel, status=201),
    Operation("GET", "/v1/models", "Every model of the organisation", READ, _list_models, objects.Models),
    Operation("GET", "/v1/models/{id}", "One model", READ, _get_model, objects.Model),
    Operation("POST", "/v1/models/{id}/revoke", "Take a model out of service", WRITE, _revoke_model, objects.Model,
              takes=WithReason),
    Operation("POST", "/v1/deployments", "Deploy a model for robots of a schema", WRITE, _create_deployment,
              objects.Deployment, takes=NewDeployment, status=201),
    Operation("GET", "/v1/deployments", "Every deployment of the organisation", READ, _list_deployments,
              objects.Deployments),
    Operation("GET", "/v1/deployments/{id}", "One deployment, with what its doctor found last", READ,
              _get_deployment, objects.Deployment),
    Operation("POST", "/v1/deployments/{id}/doctor", "Check whether a deployment may move its robots", EXAMINER,
              _examine, objects.DoctorReport, takes=Nothing),
    Operation("POST", "/v1/robot-schemas", "Register what a robot is", WRITE, _register_schema,
              objects.RegisteredSchema, takes=NewRobotSchema, status=201),
    Operation("GET", "/v1/robot-schemas", "Every robot schema of the organisation", READ, _list_schemas,
              objects.RegisteredSchemas),
    Operation("GET", "/v1/robot-schemas/{id}", "One robot schema", READ, _get_schema, objects.RegisteredSchema),
)  # fmt: skip
