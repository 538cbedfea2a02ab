"""One visit of a browser to a page: who it is, what it asks, and the operations of the API that it may use."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, cast

import orjson
from starlette.responses import RedirectResponse, Response

from reflex.errors import ServiceError, service_error
from reflex.signed.canonical import canonical_json
from reflex_control.dashboard.forms import EMPTY, Form
from reflex_control.dashboard.rendering import PAGE_SAFETY, page_of
from reflex_control.dashboard.sign_ins import SignIn, SignIns
from reflex_control.dashboard.words import DONE, age
from reflex_control.http.operation import Call, Operation
from reflex_control.http.reading import fields_of
from reflex_control.identity.actor import Actor, Scope
from reflex_control.plane import Plane
from reflex_control.repeating import IDEMPOTENCY_KEY, Repetition

__all__ = ["Page", "Visit"]

Operations = Mapping[tuple[str, str], Operation]
SEE_OTHER: Final = 303
READERS: Final[Sequence[Scope]] = ("read",)
TRAINERS: Final[Sequence[Scope]] = ("read", "train")
SECTIONS: Final[Sequence[tuple[str, str, Sequence[Scope]]]] = (
    ("/", "Overview", READERS), ("/deployments", "Deployments", READERS), ("/sessions", "Sessions", READERS),
    ("/robots", "Robots", READERS), ("/datasets", "Datasets", TRAINERS), ("/training", "Training", TRAINERS),
    ("/receipts", "Receipts", READERS), ("/keys", "Keys", ("admin",)),
)  # fmt: skip
"""The pages that have a place in the menu of whoever has one of these scopes."""


@dataclass(frozen=True, slots=True)
class Visit:
    """`subject` is what the tokens of this browser's forms belong to."""

    plane: Plane
    operations: Operations
    sign_ins: SignIns
    subject: str
    sign_in: SignIn | None = None
    actor: Actor | None = None
    place: str = "/"
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    form: Form = EMPTY
    last_event_id: int | None = None
    address: str = ""
    """Of the caller, as it is counted."""
    origin: str = ""
    """Under which URL the pages are reached."""
    is_https: bool = False

    @property
    def who(self) -> Actor:
        if self.actor is None:
            raise service_error("unauthorized", "sign in first")
        return self.actor

    @property
    def owner(self) -> str:
        return self.who.organisation_id

    def may(self, scope: Scope) -> bool:
        return self.actor is not None and self.actor.may(scope)

    def offers(self, method: str, path: str, **ids: str) -> bool:
        """Whether whoever is here may use this operation."""
        if self.actor is None:
            return False
        try:
            self.operations[method, path].needs.check(self.actor, ids)
        except ServiceError:
            return False
        return True

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **ids: str) -> Any:  # noqa: ANN401
        """What the API answers to this key; `ServiceError` as the API has it."""
        operation = self.operations[method, path]
        if not operation.needs.is_public:
            operation.needs.check(self.who, ids)
        given = {} if body is None else {key: value for key, value in body.items() if value is not None}
        fields: Any = None if operation.takes is None else fields_of(operation.takes, orjson.dumps(given))
        query: Any = None if operation.asks is None else operation.asks()
        repetition = self._repetition(f"{method} {path} {ids}", given) if operation.is_repeatable else None
        return operation.run(
            Call(self.plane, self.actor, ids, query, fields, repetition, self.last_event_id,
                 self.address, self.origin)
        )  # fmt: skip

    def _repetition(self, route: str, body: Mapping[str, Any]) -> Repetition | None:
        """A form that is sent twice makes one thing."""
        once = self.form.text("once")
        return Repetition(once, route, canonical_json(body)) if IDEMPOTENCY_KEY.fullmatch(once) else None

    def page(self, template: str, problem: ServiceError | None = None, **context: object) -> Response:
        """The page of a template, with what every page has."""
        shared = {
            "visit": self, "actor": self.actor, "token": self.sign_ins.form_token(self.subject),
            "once": partial(secrets.token_urlsafe, 18), "problem": problem,
            "done": DONE.get(self.query.get("done", "")),
            "sections": [(to, title) for to, title, scopes in SECTIONS if any(map(self.may, scopes))],
            "since": lambda text: age(text, self.plane.clock()),
        }  # fmt: skip
        return page_of(template, {**shared, **context}, 200 if problem is None else problem.status)

    def go_to(self, path: str) -> Response:
        """After something was done: a reload does not do it again."""
        return RedirectResponse(path, SEE_OTHER, PAGE_SAFETY)


@dataclass(frozen=True, slots=True)
class Page:
    """`run` is called in a thread. Whoever is not signed in sees only what `is_open`."""

    method: Literal["GET", "POST"]
    path: str
    run: Callable[[Visit], Response]
    is_open: bool = False
    takes_guesses: bool = False
    """What it refuses is counted: an address may be wrong a few times only."""
    problem_page: Callable[[Visit, ServiceError], Response] | None = None
    """Where a refusal is shown beside the form that was refused."""


def table_of(operations: Sequence[Operation]) -> Operations:
    return {(cast("str", operation.method), operation.path): operation for operation in operations}
