"""A robot is one machine of a schema; once revoked its keys open nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import authenticate, make_key
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.registry.finding import find
from reflex_control.registry.robots import HEARTBEAT_LOST_MS, register_robot, revoke_robot, robot_as_json
from reflex_control.store.tables import robot, robot_schema
from unit.reflex_control.conftest import Moment
from unit.reflex_control.scene import CONTENT_HASH, a_robot


def schema_of(plane: Plane, actor: Actor) -> str:
    a_robot(plane, actor, "another")
    with plane.reading() as connection:
        wanted = select(robot_schema.c.id).where(robot_schema.c.organisation_id == actor.organisation_id)
        return str(connection.scalar(wanted))


def test_a_registered_robot_is_neither_paired_nor_online(plane: Plane, actor: Actor) -> None:
    schema_id = schema_of(plane, actor)
    with plane.writing(actor) as writing:
        made = register_robot(writing, "arm-1", schema_id, None, "sha256:calibration")

    with plane.reading() as connection:
        receipt = receipts_of(connection, actor.organisation_id)[-1]
    assert (made["robotSchemaId"], made["paired"], made["online"], made["sessionId"]) == (schema_id, False, False, None)
    assert (receipt["kind"], receipt["robotId"]) == ("robot_registered", made["id"])
    assert (receipt["calibrationId"], receipt["limitsHash"]) == ("sha256:calibration", CONTENT_HASH)


def test_another_organisations_schema_makes_no_robot(plane: Plane, actor: Actor, stranger: Actor) -> None:
    schema_id = schema_of(plane, actor)

    with pytest.raises(ServiceError) as refused, plane.writing(stranger) as writing:
        register_robot(writing, "arm-1", schema_id, None, None)

    assert (refused.value.status, refused.value.context) == (422, {"field": "robotSchemaId"})


def test_a_robot_is_online_for_so_long_after_its_heartbeat(plane: Plane, actor: Actor, moment: Moment) -> None:
    robot_id = a_robot(plane, actor)
    with plane.writing(actor) as writing:
        writing.connection.execute(robot.update().values(heartbeat_at=plane.clock()))
        row = find(writing.connection, robot, actor.organisation_id, robot_id, what="robot")
        shown = [robot_as_json(writing.connection, row, plane.clock() + later) for later in (0, HEARTBEAT_LOST_MS)]

    assert [each["online"] for each in shown] == [True, False]


def test_a_revoked_robots_keys_are_refused_and_revoking_twice_is_one_fact(plane: Plane, actor: Actor) -> None:
    robot_id = a_robot(plane, actor)
    with plane.database.writing() as connection:
        key = make_key(connection, actor.organisation_id, "arm", (), plane.clock(), robot_id=robot_id)
    assert authenticate(plane.database, key.secret.encode(), plane.clock()).robot_id == robot_id

    for _ in range(2):
        with plane.writing(actor) as writing:
            revoke_robot(writing, robot_id, "stolen")

    with pytest.raises(ServiceError, match="unauthorized"):
        authenticate(plane.database, key.secret.encode(), plane.clock())
    with plane.reading() as connection:
        kinds = [receipt["kind"] for receipt in receipts_of(connection, actor.organisation_id)]
    assert kinds == ["robot_revoked"]
