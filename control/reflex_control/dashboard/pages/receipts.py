"""Receipts: the newest first, chosen by what they are about, and whether their chain is whole."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from reflex.errors import RateLimitedError
from reflex.printable import printable
from reflex.signed.receipts import Verdict
from reflex_control.dashboard.chain import verdict_on
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.receipting import kinds_of, last_seq, newest_receipts

__all__ = ["RECEIPT_PAGES"]

PAGE: Final = 50
CHECKED_UNASKED: Final = 1_000
"""A longer chain is checked when somebody asks: a second for some thousands."""
FILTERS: Final = ("kind", "deployment_id", "session_id", "robot_id")
SEQ: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
EXPORT: Final = "/v1/receipts/export"


def _show(visit: Visit) -> Response:
    visit.who.require("read")
    wanted = {name: printable(visit.query.get(name, "").strip()[:64]) for name in FILTERS}  # no store takes all text
    before = visit.query.get("before", "")
    with visit.plane.reading() as connection:
        found = newest_receipts(
            connection, visit.owner, before=int(before) if SEQ.fullmatch(before) else None, limit=PAGE + 1,
            **{name: value or None for name, value in wanted.items()},
        )  # fmt: skip
        last, kinds = last_seq(connection, visit.owner), kinds_of(connection, visit.owner)
    return visit.page(
        "receipts.html", receipts=found[:PAGE], older=_older(wanted, found), wanted=wanted,
        kinds=kinds, last=last, verdict=_verdict(visit, last),
    )  # fmt: skip


def _verdict(visit: Visit, last: int) -> Verdict | None:
    """None where nobody asked for it, and it would take long or is being found already."""
    if "verify" in visit.query:
        return verdict_on(visit.plane, visit.who)
    with contextlib.suppress(RateLimitedError):
        return verdict_on(visit.plane, visit.who) if last <= CHECKED_UNASKED else None
    return None


def _older(wanted: dict[str, str], found: list[dict[str, Any]]) -> str | None:
    """The address of the next page, where there is one."""
    if len(found) <= PAGE:
        return None
    chosen = {name: value for name, value in wanted.items() if value}
    return "/receipts?" + urlencode({**chosen, "before": found[PAGE - 1]["seq"]})


def _export(visit: Visit) -> Any:  # noqa: ANN401 - a response that streams
    return visit.ask("GET", EXPORT)


RECEIPT_PAGES: Final = (Page("GET", "/receipts", _show), Page("GET", "/receipts/export", _export))
