"""Which deployment is meant: the one that is named, or the only one of a model or of a base model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, select

from reflex.errors import service_error
from reflex_control.plane import Writing
from reflex_control.registry.finding import find_named
from reflex_control.store.tables import deployment, model

__all__ = ["chosen_deployment"]


def chosen_deployment(
    writing: Writing, deployment_id: str | None, artifact_id: str | None, base_model: str | None
) -> Row[Any]:
    """The first of the three that is given decides; `ServiceError` 422 when it names none, or more than one."""
    owner = writing.actor.organisation_id
    if deployment_id is not None:
        return find_named(writing.connection, deployment, owner, deployment_id, field="deploymentId")
    if artifact_id is not None:
        return _only_one(writing, [artifact_id], "artifactId", "this model")
    if base_model is None:
        raise service_error("invalid_value", "deploymentId is needed", context={"field": "deploymentId"})
    return _only_one(writing, _models_of(writing, base_model), "deploymentId", "the base model")


def _only_one(writing: Writing, models: Collection[str], field: str, what: str) -> Row[Any]:
    of_models = select(deployment).where(
        deployment.c.organisation_id == writing.actor.organisation_id, deployment.c.model_id.in_(models)
    )
    found = writing.connection.execute(of_models).all()
    if len(found) != 1:
        raise service_error(
            "invalid_value", f"{what} has {len(found)} deployments; name one by deploymentId", context={"field": field}
        )
    return found[0]


def _models_of(writing: Writing, base_model: str) -> list[str]:
    """Those of this name or family."""
    rows = writing.connection.execute(
        select(model.c.id, model.c.name, model.c.config).where(
            model.c.organisation_id == writing.actor.organisation_id, model.c.revoked_at.is_(None)
        )
    )
    wanted = _plain(base_model)
    return [row.id for row in rows if wanted in (_plain(row.name), _plain(row.config.get("family", "")))]


def _plain(name: object) -> str:
    """pi0.5, PI05 and pi_05 are one."""
    return "".join(letter for letter in str(name).lower() if letter.isalnum())
