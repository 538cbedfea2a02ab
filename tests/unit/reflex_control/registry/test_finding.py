"""What is another organisation's is not there, and a name is given once in an organisation."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.registry.finding import add, find, find_all, find_named
from reflex_control.store.tables import model, robot
from unit.reflex_control.scene import a_model, a_robot


def test_a_row_is_found_by_its_own_organisation_alone(plane: Plane, actor: Actor, stranger: Actor) -> None:
    identity = a_model(plane, actor)["id"]

    with plane.reading() as connection:
        assert find(connection, model, actor.organisation_id, identity, what="model").id == identity
        assert find_all(connection, model, stranger.organisation_id) == []
        with pytest.raises(ServiceError) as unknown:
            find(connection, model, stranger.organisation_id, identity, what="model")
        with pytest.raises(ServiceError) as in_body:
            find_named(connection, model, stranger.organisation_id, identity, field="modelId")

    assert (unknown.value.status, in_body.value.status) == (404, 422)
    assert in_body.value.context == {"field": "modelId"}


def test_a_name_that_is_taken_is_refused_and_names_the_one_that_has_it(
    plane: Plane, actor: Actor, stranger: Actor
) -> None:
    taken = a_robot(plane, actor, "arm-1")
    a_robot(plane, stranger, "arm-1")
    row = {"organisation_id": actor.organisation_id, "name": "arm-1"}

    with pytest.raises(ServiceError) as refused, plane.writing(actor) as writing:
        add(writing.connection, robot, row, what="robot")

    assert (refused.value.status, refused.value.context) == (409, {"id": taken})
