"""Models: policies that were exported, known by the hash of their content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from reflex.errors import service_error
from reflex.signed.moments import iso_of
from reflex_control.identity.ids import new_id
from reflex_control.moments import iso_or_none
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import find
from reflex_control.store.tables import model

__all__ = ["model_as_json", "model_version", "register_model", "revoke_model"]

CONTENT_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
VERSION_DIGITS: Final = 12


def register_model(
    writing: Writing, name: str, content_hash: str, config: Mapping[str, Any], source: str | None
) -> dict[str, Any]:
    """Write a policy down; the same name and content are the same model, however often it is registered."""
    if not CONTENT_HASH.fullmatch(content_hash):
        raise service_error(
            "invalid_value", "contentHash is sha256: and 64 hexadecimal digits, the policy_hash of reflex_config.json",
            context={"field": "contentHash"},
        )  # fmt: skip
    if config.get("policy_hash", content_hash) != content_hash:
        raise service_error(
            "invalid_value", "contentHash is not the policy_hash of this config; register the policy from its folder",
            context={"field": "contentHash"},
        )  # fmt: skip
    owner = writing.actor.organisation_id
    same = select(model).where(
        model.c.organisation_id == owner, model.c.name == name, model.c.content_hash == content_hash
    )
    row = writing.connection.execute(same).one_or_none()
    if row is not None and row.revoked_at is None:
        return model_as_json(row)
    if row is not None:
        raise service_error("conflict", "this model was revoked; export it anew", context={"id": row.id})
    identity = new_id("model")
    writing.connection.execute(
        insert(model).values(
            id=identity, organisation_id=owner, name=name, content_hash=content_hash, config=dict(config),
            source=source, created_at=writing.now_ms,
        )
    )  # fmt: skip
    made = find(writing.connection, model, owner, identity, what="model")
    writing.receipt("model_registered", Facts(model_version=model_version(made)))
    return model_as_json(made)


def revoke_model(writing: Writing, model_id: str, reason: str | None) -> Row[Any]:
    """From now on nothing new is deployed or driven with it."""
    found = find(writing.connection, model, writing.actor.organisation_id, model_id, what="model")
    if found.revoked_at is None:
        writing.connection.execute(update(model).where(model.c.id == model_id).values(revoked_at=writing.now_ms))
        writing.receipt("model_revoked", Facts(model_version=model_version(found), reason=reason))
    return find(writing.connection, model, writing.actor.organisation_id, model_id, what="model")


def model_version(row: Row[Any]) -> str:
    """`NAME@` and the first digits of the hash, as the frontend calls the policy in its answers."""
    name = row.config.get("policy_id", row.name)
    return f"{name}@{row.content_hash.removeprefix('sha256:')[:VERSION_DIGITS]}"


def model_as_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "contentHash": row.content_hash,
        "modelVersion": model_version(row),
        **{name: row.config.get(name) for name in ("family", "embodiment", "trained", "precision", "parity")},
        "config": row.config,
        "source": row.source,
        "createdAt": iso_of(row.created_at),
        "revokedAt": iso_or_none(row.revoked_at),
    }
