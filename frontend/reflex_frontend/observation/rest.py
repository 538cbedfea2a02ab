"""Untrusted bytes of `POST /act/correct` in, a checked `RestRequest` out: the newest state and the rest of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reflex.errors import ServiceError
from reflex.policy_config import PolicyConfig
from reflex.wire.arrays import Dialect
from reflex.wording.nouns import counted
from reflex_frontend.observation.observation import check_state
from reflex_frontend.observation.packed import plain_fields, unpacked
from reflex_frontend.observation.request import (
    identifier_of,
    json_object,
    random_uuid,
    refuse,
    refuse_many_numbers,
    state_of,
)
from reflex_frontend.observation.steps import Rows, parse_rows, parse_steps

__all__ = ["RestRequest", "checked_position", "parse_packed_rest", "parse_rest"]


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One request, its types and lengths checked; whether it fits the policy is checked against the policy."""

    state: tuple[float, ...]
    actions: Rows
    position: int | None
    """Of the first action in its chunk; None: they are its last ones."""
    episode_id: str | None
    request_id: str


def parse_rest(body: bytes | bytearray) -> RestRequest:
    """Raises `ServiceError` like `parse_act`; the error carries the client's request_id when that could be read."""
    refuse_many_numbers(body)
    return _rest(json_object(body))


def parse_packed_rest(body: bytes | bytearray) -> tuple[RestRequest, Dialect | None]:
    """The same for msgpack, where numbers may be arrays, and the dialect in which it has them."""
    fields, dialect = unpacked(body)
    return _rest(plain_fields(fields)), dialect


def checked_position(request: RestRequest, config: PolicyConfig) -> int:
    """Where in its chunk the rest begins; `ServiceError` where it is no rest of this policy's chunks."""
    check_state(request, config.state_dim)
    for row in request.actions:
        if len(row) != config.action_dim:
            said = f"an action of this policy has {counted(config.action_dim, 'value')}, not {len(row)}"
            raise refuse("chunk_mismatch", said, field="actions", expected=config.action_dim, received=len(row))
    count = len(request.actions)
    position = config.horizon - count if request.position is None else request.position
    if position < 0 or position + count > config.horizon:
        said = f"{counted(count, 'action')} from step {max(position, 0)} on are no rest of {config.horizon} steps"
        raise refuse("chunk_mismatch", said, field="actions", limit=config.horizon, received=position + count)
    return position


def _rest(fields: Mapping[str, Any]) -> RestRequest:
    request_id = identifier_of(fields, "request_id")
    try:
        return RestRequest(
            state=state_of(fields),
            actions=_actions(fields),
            position=parse_steps(fields, "position"),
            episode_id=identifier_of(fields, "episode_id"),
            request_id=request_id or random_uuid(),
        )
    except ServiceError as exc:
        exc.request_id = request_id
        raise


def _actions(fields: Mapping[str, Any]) -> Rows:
    value = fields.get("actions")
    if value is None:
        raise refuse("missing_field", "actions is required: what is left of the chunk", field="actions")
    rows = parse_rows(value, "actions")
    if not rows:
        raise refuse("wrong_type", "actions must hold at least one action", field="actions")
    return rows
