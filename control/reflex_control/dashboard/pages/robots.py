"""Robots: which there are, how a new one is registered and paired, and how one is taken out of service."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from reflex.errors import ServiceError
from reflex_control.dashboard.looking_up import robot_of, robots_of, schemas_by_id
from reflex_control.dashboard.qr import qr_of
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.identity.pairing import DEFAULT_TTL_S, MAX_TTL_S
from reflex_control.receipting import newest_receipts

__all__ = ["ROBOT_PAGES"]

PAIR: Final = "/v1/robots/{id}/pairing-tokens"
REVOKE: Final = "/v1/robots/{id}/revoke"
LIVES_S: Final = (600, DEFAULT_TTL_S, MAX_TTL_S)
RECEIPTS_SHOWN: Final = 20


def _list(visit: Visit, problem: ServiceError | None = None) -> Response:
    schemas = schemas_by_id(visit)
    return visit.page(
        "robots.html", problem=problem, robots=robots_of(visit), schemas=schemas,
        can_register=visit.offers("POST", "/v1/robots"),
    )  # fmt: skip


def _register(visit: Visit) -> Response:
    form = visit.form
    made = visit.ask(
        "POST", "/v1/robots", {"name": form.text("name"), "robotSchemaId": form.text("robotSchemaId"),
                               "calibrationId": form.optional("calibrationId")},
    )  # fmt: skip
    return visit.go_to(f"/robots/{made['id']}?done=registered")


def _show(visit: Visit, problem: ServiceError | None = None) -> Response:
    robot = robot_of(visit, visit.path["id"])
    schema = visit.ask("GET", "/v1/robot-schemas/{id}", id=robot["robotSchemaId"])
    with visit.plane.reading() as connection:
        receipts = newest_receipts(connection, visit.owner, robot_id=robot["id"], limit=RECEIPTS_SHOWN)
    is_in_service = robot["revokedAt"] is None
    return visit.page(
        "robot.html", problem=problem, robot=robot, receipts=receipts, lives_s=LIVES_S, usual_life_s=DEFAULT_TTL_S,
        schema_name=schema["name"],
        can_pair=is_in_service and visit.offers("POST", PAIR, id=robot["id"]),
        can_revoke=is_in_service and visit.offers("POST", REVOKE, id=robot["id"]),
    )  # fmt: skip


def _pair(visit: Visit) -> Response:
    lasts = visit.form.text("ttlSeconds")
    given = int(lasts) if lasts.isascii() and lasts.isdigit() and len(lasts) < 9 else None
    token = visit.ask("POST", PAIR, {"ttlSeconds": given}, id=visit.path["id"])
    robot = visit.ask("GET", "/v1/robots/{id}", id=visit.path["id"])
    code = qr_of(token["token"], f"QR code of the pairing token of {robot['name']}")
    return visit.page("paired.html", robot=robot, pairing=token, code=code)


def _revoke(visit: Visit) -> Response:
    visit.ask("POST", REVOKE, {"reason": visit.form.optional("reason")}, id=visit.path["id"])
    return visit.go_to(f"/robots/{visit.path['id']}?done=revoked")


ROBOT_PAGES: Final = (
    Page("GET", "/robots", _list),
    Page("POST", "/robots", _register, problem_page=_list),
    Page("GET", "/robots/{id}", _show),
    Page("POST", "/robots/{id}/pairing", _pair, problem_page=_show),
    Page("POST", "/robots/{id}/revoke", _revoke, problem_page=_show),
)
