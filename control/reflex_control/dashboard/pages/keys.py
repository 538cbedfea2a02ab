"""Keys: which there are, new ones, and how one is rotated and taken back. A secret is shown once."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from reflex.errors import ServiceError
from reflex.signed.moments import ms_of
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.http.routes.bodies import DEFAULT_OVERLAP_S
from reflex_control.identity.actor import SCOPES
from reflex_control.moments import DAY_S, SECOND_MS

__all__ = ["KEY_PAGES"]

LIVES: Final = ((0, "never"), (DAY_S, "in a day"), (30 * DAY_S, "in 30 days"), (365 * DAY_S, "in a year"))
OVERLAPS: Final = ((0, "at once"), (DEFAULT_OVERLAP_S, "in an hour"), (DAY_S, "in a day"), (7 * DAY_S, "in a week"))
KEYS: Final = "/v1/keys"
ROTATE: Final = "/v1/keys/{id}/rotate"
REVOKE: Final = "/v1/keys/{id}/revoke"


def _list(visit: Visit, problem: ServiceError | None = None) -> Response:
    now_ms = visit.plane.clock()
    keys = [{**each, "state": _state_of(each, now_ms)} for each in visit.ask("GET", KEYS)["keys"]]
    return visit.page(
        "keys.html", problem=problem, keys=sorted(keys, key=lambda each: each["state"] in ("revoked", "expired")),
        scopes=[scope for scope in SCOPES if visit.may(scope)], lives=LIVES, overlaps=OVERLAPS,
        usual_overlap_s=DEFAULT_OVERLAP_S,
    )  # fmt: skip


def _create(visit: Visit) -> Response:
    form = visit.form
    made = visit.ask(
        "POST", KEYS, {"name": form.text("name"), "scopes": form.several("scopes"),
                       "expiresInSeconds": _seconds(form.text("expiresInSeconds")) or None},
    )  # fmt: skip
    return visit.page("key.html", made=made, replaced=None)


def _rotate(visit: Visit) -> Response:
    given = _seconds(visit.form.text("overlapSeconds"))
    overlap_s = DEFAULT_OVERLAP_S if given is None else given
    made = visit.ask("POST", ROTATE, {"overlapSeconds": overlap_s}, id=visit.path["id"])
    return visit.page(
        "key.html",
        made=made,
        replaced={"id": visit.path["id"], "ends": dict(OVERLAPS).get(overlap_s, "after its overlap")},
    )


def _revoke(visit: Visit) -> Response:
    visit.ask("POST", REVOKE, {"reason": visit.form.optional("reason")}, id=visit.path["id"])
    return visit.go_to("/keys?done=revoked")


def _state_of(key: dict[str, Any], now_ms: int) -> str:
    if key["revokedAt"] is not None:
        return "revoked"
    if key["expiresAt"] is None:
        return "holds"
    left_ms = ms_of(key["expiresAt"]) - now_ms
    return "expired" if left_ms <= 0 else "rotating" if left_ms <= 7 * DAY_S * SECOND_MS else "holds"


def _seconds(given: str) -> int | None:
    """None where nothing was chosen; what is no number is one that the API refuses."""
    if not given:
        return None
    return int(given) if given.isascii() and given.isdigit() and len(given) < 12 else -1


KEY_PAGES: Final = (
    Page("GET", "/keys", _list),
    Page("POST", "/keys", _create, problem_page=_list),
    Page("POST", "/keys/{id}/rotate", _rotate, problem_page=_list),
    Page("POST", "/keys/{id}/revoke", _revoke, problem_page=_list),
)
