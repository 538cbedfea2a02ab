"""Deployments: a model for robots of a schema, where it is served, and the highest mode it may reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, select

from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex_control.identity.ids import new_id
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import add, find, find_named
from reflex_control.registry.models import model_version
from reflex_control.store.tables import deployment, model, robot_schema

__all__ = ["act_urls", "create_deployment", "deployment_as_json", "deployments_of"]

MAX_FRONTENDS: Final = 16
MAX_URL_CHARACTERS: Final = 2_048


def create_deployment(
    writing: Writing,
    name: str,
    model_id: str,
    schema_id: str | None,
    runtime: Mapping[str, Any] | None,
    mode: str,
    spec: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Write a deployment down. Whether it works is for its doctor to say."""
    owner = writing.actor.organisation_id
    found = find_named(writing.connection, model, owner, model_id, field="modelId")
    if found.revoked_at is not None:
        raise service_error("wrong_state", "this model was revoked; deploy another one", context={"field": "modelId"})
    schema = schema_id and find_named(writing.connection, robot_schema, owner, schema_id, field="robotSchemaId")
    checked = None if runtime is None else {"actUrl": act_urls(runtime)}
    row: dict[str, Any] = {
        "id": new_id("deploy"), "organisation_id": owner, "name": name, "model_id": model_id,
        "robot_schema_id": schema_id, "runtime": checked, "mode": mode, "spec": spec, "created_at": writing.now_ms,
    }  # fmt: skip
    add(writing.connection, deployment, row, what="deployment")
    writing.receipt(
        "deployment_created",
        Facts(
            deployment_id=row["id"], model_version=model_version(found), mode=mode,
            limits_hash=schema.limits_hash if schema else None,
        ),
    )  # fmt: skip
    return deployment_as_json(find(writing.connection, deployment, owner, row["id"], what="deployment"))


def deployments_of(connection: Connection, model_id: str) -> list[str]:
    """The ids of all deployments of a model."""
    return list(connection.scalars(select(deployment.c.id).where(deployment.c.model_id == model_id)))


def act_urls(runtime: Mapping[str, Any]) -> list[str]:
    """The frontends of a runtime, without the path /act; `ServiceError` 422."""
    given = runtime.get("actUrl")
    urls = [given] if isinstance(given, str) else given
    if set(runtime) != {"actUrl"} or not isinstance(urls, Sequence) or not 1 <= len(urls) <= MAX_FRONTENDS:
        raise _bad_runtime()
    return [_checked(url) for url in urls]


def _checked(url: object) -> str:
    if not isinstance(url, str) or len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable():
        raise _bad_runtime()
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        raise _bad_runtime() from None
    if not is_right or parts.query or parts.fragment or " " in url:
        raise _bad_runtime()
    return url.rstrip("/").removesuffix("/act")


def _bad_runtime() -> ServiceError:
    return service_error(
        "invalid_value", 'runtime is {"actUrl": the http(s) address of a frontend, or a list of them}',
        context={"field": "runtime"},
    )  # fmt: skip


def deployment_as_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "modelId": row.model_id,
        "robotSchemaId": row.robot_schema_id,
        "runtime": row.runtime,
        "mode": row.mode,
        "spec": row.spec,
        "doctor": row.doctor,
        "createdAt": iso_of(row.created_at),
    }
