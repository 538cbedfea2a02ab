"""What one wants to know first: which robots are there, what drives them, and what may."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from reflex_control.dashboard.looking_up import deployments_of, names_of, robots_of
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.receipting import newest_receipts
from reflex_control.sessions.life import live_sessions, session_as_json

__all__ = ["OVERVIEW_PAGES"]

LATEST: Final = 8


def _show(visit: Visit) -> Response:
    if not visit.may("read"):
        return visit.page("nothing_to_read.html")
    robots, deployments = robots_of(visit), deployments_of(visit)
    with visit.plane.reading() as connection:
        live = [session_as_json(each) for each in live_sessions(connection, visit.owner)]
        receipts = newest_receipts(connection, visit.owner, limit=LATEST)
    return visit.page(
        "overview.html", robots=[each for each in robots if each["state"] != "revoked"], deployments=deployments,
        live=live, receipts=receipts, names=names_of(robots) | names_of(deployments),
    )  # fmt: skip


OVERVIEW_PAGES: Final = (Page("GET", "/", _show),)
