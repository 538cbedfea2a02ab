"""Who does something, and what it may: one key of one organisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from reflex.errors import ServiceError, service_error

__all__ = ["SCOPES", "Actor", "Scope", "check_scopes"]

Scope = Literal["read", "write", "sessions", "promote", "train", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""None implies another: who may promote was given that by name."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A key that was accepted. A robot's key has a `robot_id` and no scope."""

    key_id: str
    key_name: str
    organisation_id: str
    scopes: frozenset[Scope]
    robot_id: str | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def require(self, *scopes: Scope) -> None:
        """`ServiceError` 403, which names the scope, when it has none of these."""
        if not self.scopes & set(scopes):
            raise _wrong_scope(scopes)

    def require_robot(self, robot_id: str, *scopes: Scope) -> None:
        """As `require`, but the robot's own key will do. Another robot's key finds nothing."""
        if self.robot_id is None:
            self.require(*scopes)
        elif self.robot_id != robot_id:
            raise service_error("not_found", "there is no such robot in this organisation")


def check_scopes(scopes: Iterable[str], of: Actor) -> list[Scope]:
    """The scopes in their order; `ServiceError` for one that does not exist, or that the giver does not have."""
    wanted = set(scopes)
    unknown = sorted(wanted - set(SCOPES))
    if unknown or not wanted:
        raise service_error("invalid_value", f"scopes takes at least one of {', '.join(SCOPES)}")
    if not wanted <= of.scopes:
        raise _wrong_scope(sorted(cast("set[Scope]", wanted) - of.scopes))
    return [scope for scope in SCOPES if scope in wanted]


def _wrong_scope(scopes: Iterable[Scope]) -> ServiceError:
    names = " or ".join(scopes)
    return service_error(
        "forbidden",
        f"this key has no scope {names}; ask who administers the organisation for one that has",
        context={"scope": names},
    )
