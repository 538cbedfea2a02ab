"""Robot schemas: what is wrong in one is told under its own name, and nothing of it is kept."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.registry.schemas import register_schema
from reflex_control.store.tables import robot_schema


def test_a_schema_that_is_none_is_refused_under_the_name_it_was_to_have(plane: Plane, actor: Actor) -> None:
    with pytest.raises(ServiceError, match="robot schema so101-v1: ") as refused, plane.writing(actor) as writing:
        register_schema(writing, "so101-v1", {"name": "arm"}, None)

    assert (refused.value.code, refused.value.context["field"]) == ("invalid_value", "schema")
    assert "the field is missing; correct it" in refused.value.message
    with plane.writing(actor) as writing:
        assert writing.connection.scalar(select(func.count()).select_from(robot_schema)) == 0
