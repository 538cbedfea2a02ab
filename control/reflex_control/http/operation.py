"""One operation of the API: its route, who may ask for it, what it takes and gives. The table of them is the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from starlette.responses import Response

from reflex.errors import service_error
from reflex_control.identity.actor import Actor, Scope
from reflex_control.plane import Plane
from reflex_control.repeating import Repetition

__all__ = ["PUBLIC", "Answer", "Call", "Needs", "Operation"]

Answer = Mapping[str, Any] | Response


@dataclass(frozen=True, slots=True)
class Needs:
    """Who may ask: a key with one of the scopes, every key, or everybody."""

    scopes: tuple[Scope, ...] = ()
    is_public: bool = False
    own_key: bool = False
    """The key that the path names may, too."""
    own_robot: bool = False
    """The key of the robot that the path names may, too."""
    any_robot: bool = False
    """A robot's key may, too: what the operation finds says whether it is the right one."""

    @classmethod
    def scope(cls, *scopes: Scope) -> Needs:
        return cls(scopes)

    def check(self, actor: Actor, path: Mapping[str, str]) -> None:
        """`ServiceError` 403 names the scope that is missing."""
        is_let_in = (self.own_key and path.get("id") == actor.key_id) or (self.any_robot and actor.robot_id is not None)
        if not self.scopes or is_let_in:
            return
        if self.own_robot:
            actor.require_robot(path["id"], *self.scopes)
        else:
            actor.require(*self.scopes)


PUBLIC: Final = Needs(is_public=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as an operation sees it: what is untrusted of it was read before."""

    plane: Plane
    actor: Actor | None
    path: Mapping[str, str]
    query: Any
    body: Any
    repetition: Repetition | None = None
    last_event_id: int | None = None
    """Up to where a listener had heard."""
    address: str = ""
    """Of the caller, as it is counted."""
    origin: str = ""
    """Under which URL the caller reaches the pages of this server."""

    @property
    def who(self) -> Actor:
        """Whoever asks, where a key is needed."""
        if self.actor is None:
            raise service_error("unauthorized", "this needs a key")
        return self.actor


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` is called in a thread, and may wait for the store."""

    method: Literal["GET", "POST"]
    path: str
    summary: str
    needs: Needs
    run: Callable[[Call], Answer]
    gives: Any
    """A `TypedDict` of reflex.control.objects, or the media type of something else."""
    takes: type[BaseModel] | None = None
    asks: type[BaseModel] | None = None
    """The parameters of the query."""
    status: int = 200
    refuses: tuple[int, ...] = ()
    """Statuses of its own, beside those of every operation."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it reads Idempotency-Key: it makes something."""
        return self.status == 201

    @property
    def parameters(self) -> Iterable[str]:
        return (part[1:-1] for part in self.path.split("/") if part.startswith("{"))
