"""A session's robot is held to its schema's limits, where the key may read them."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.errors import ServiceError, SetupError, service_error
from reflex_runner.session.schema_limits import schema_of
from support.runner.driven import simulated_schema


class Registry:
    def __init__(
        self, schema_id: str | None = "schema_1", schema: Any = None, error: ServiceError | None = None
    ) -> None:
        self.schema_id, self.schema, self.error = schema_id, schema or simulated_schema(), error

    def get_deployment(self, deployment_id: str) -> Any:
        if self.error is not None:
            raise self.error
        return {"id": deployment_id, "robotSchemaId": self.schema_id}

    def list_robot_schemas(self) -> Any:
        return {"robotSchemas": [{"id": "schema_0", "schema": {}}, {"id": "schema_1", "schema": self.schema}]}


def test_the_limits_are_those_of_the_deployments_schema() -> None:
    found = schema_of(Registry(), "deploy_1")
    assert found is not None
    assert (found.name, found.action_dim) == ("sim", 6)
    assert found.stop_ladder is not None
    assert (found.stop_ladder.hold_after_ms, found.stop_ladder.stop_after_ms) == (20_000, 50_000)


@pytest.mark.parametrize(
    "registry", [Registry(None), Registry("schema_9"), Registry(error=service_error("forbidden", "no"))]
)
def test_where_there_is_none_or_the_key_may_not_read_it_there_is_nothing(registry: Registry) -> None:
    assert schema_of(registry, "deploy_1") is None


def test_another_refusal_and_a_schema_that_cannot_be_read_are_errors() -> None:
    with pytest.raises(ServiceError, match="not_found"):
        schema_of(Registry(error=service_error("not_found", "no such deployment")), "deploy_1")
    with pytest.raises(SetupError, match="robot schema schema_1"):
        schema_of(Registry(schema={"name": "half"}), "deploy_1")
