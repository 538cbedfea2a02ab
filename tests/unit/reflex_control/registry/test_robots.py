"""A robot is one machine of a schema; once revoked its keys open nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import authenticate, make_key
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.registry.deployments import create_deployment
from reflex_control.registry.finding import find
from reflex_control.registry.robots import (
    HEARTBEAT_LOST_MS,
    register_robot,
    revoke_robot,
    robot_as_json,
    robots_as_json,
)
from reflex_control.sessions.authorizing import Wish, authorize
from reflex_control.store.tables import robot, robot_schema
from unit.reflex_control.conftest import Moment
from unit.reflex_control.scene import CONTENT_HASH, a_model, a_robot


def schema_of(plane: Plane, actor: Actor) -> str:
    a_robot(plane, actor, "another")
    with plane.reading() as connection:
        wanted = select(robot_schema.c.id).where(robot_schema.c.organisation_id == actor.organisation_id)
        return str(connection.scalar(wanted))


def drive(plane: Plane, actor: Actor, robot_id: str) -> None:
    made = a_model(plane, actor)
    with plane.writing(actor) as writing:
        deployed = create_deployment(writing, "kitchen", made["id"], None, None, "dry_run", None)
        authorize(writing, Wish(robot_id=robot_id, deployment_id=deployed["id"]))


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


def test_a_list_of_robots_says_what_each_says_and_asks_no_more_for_many_than_for_one(
    plane: Plane, actor: Actor, stranger: Actor
) -> None:
    asked: list[str] = []
    a_robot(plane, stranger, "theirs")
    found, counts = [], []
    event.listen(plane.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    for name in ("arm-1", "arm-2", "arm-3"):
        robot_id = a_robot(plane, actor, name)
        if name == "arm-2":
            drive(plane, actor, robot_id)
        asked.clear()
        with plane.reading() as connection:
            found = robots_as_json(connection, actor.organisation_id, plane.clock())
        counts.append(len(asked))

    with plane.reading() as connection:
        rows = [find(connection, robot, actor.organisation_id, each["id"], what="robot") for each in found]
        assert found == [robot_as_json(connection, row, plane.clock()) for row in rows]
    assert sorted(each["name"] for each in found) == ["arm-1", "arm-2", "arm-3"]
    assert [each["name"] for each in found if each["sessionId"]] == ["arm-2"]
    assert len(set(counts)) == 1


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
