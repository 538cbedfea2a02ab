"""Receipts, models and keys of the organisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reflex.control import asks
from reflex.control.objects import IssuedKey, Key, Keys, Model, Models, Receipts, WhoAmI
from reflex.sdk.asking import answer

__all__ = [
    "create_key",
    "list_keys",
    "list_models",
    "list_receipts",
    "register_model",
    "revoke_key",
    "rotate_key",
    "whoami",
]


def list_receipts(
    *,
    deployment_id: str | None = None,
    session_id: str | None = None,
    robot_id: str | None = None,
    kind: str | None = None,
    after: int | None = None,
    limit: int | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Receipts:
    """Signed lines of what happened, oldest first: a page of them as `{"receipts": [...], "nextAfter": ...}`."""
    return answer(
        asks.list_receipts(
            deployment_id=deployment_id, session_id=session_id, robot_id=robot_id, kind=kind, after=after, limit=limit
        ),
        api_key,
        convex_url,
        backend_url,
    )


def register_model(
    *,
    name: str,
    content_hash: str,
    config: Mapping[str, Any],
    source: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Model:
    """Register an exported policy: `config` is its reflex_config.json, `content_hash` that one's `policy_hash`."""
    return answer(
        asks.register_model(name=name, content_hash=content_hash, config=config, source=source),
        api_key,
        convex_url,
        backend_url,
    )


def list_models(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Models:
    """Every model, as `{"models": [...]}`."""
    return answer(
        asks.list_models(),
        api_key,
        convex_url,
        backend_url,
    )


def whoami(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> WhoAmI:
    """The key that is in use, and whose it is."""
    return answer(
        asks.whoami(),
        api_key,
        convex_url,
        backend_url,
    )


def create_key(
    *,
    name: str,
    scopes: Sequence[str],
    expires_in_seconds: int | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> IssuedKey:
    """Make a key of some of your own scopes. Its secret stands in `key` of this answer, and nowhere else."""
    return answer(
        asks.create_key(name=name, scopes=scopes, expires_in_seconds=expires_in_seconds),
        api_key,
        convex_url,
        backend_url,
    )


def rotate_key(
    key_id: str,
    *,
    overlap_seconds: int = 3600,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> IssuedKey:
    """Make a key in place of one, which works on for a while."""
    return answer(
        asks.rotate_key(key_id, overlap_seconds=overlap_seconds),
        api_key,
        convex_url,
        backend_url,
    )


def revoke_key(
    key_id: str,
    *,
    reason: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Key:
    """Take a key back; it stops working within a second."""
    return answer(
        asks.revoke_key(key_id, reason=reason),
        api_key,
        convex_url,
        backend_url,
    )


def list_keys(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Keys:
    """Every key, never its secret, as `{"keys": [...]}`."""
    return answer(
        asks.list_keys(),
        api_key,
        convex_url,
        backend_url,
    )
