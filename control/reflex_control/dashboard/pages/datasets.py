"""Datasets: which there are, what their validation found, and what to type next."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row
from starlette.responses import Response

from reflex.signed.moments import iso_of
from reflex_control.dashboard.documents import judged
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.http.routes.datasets import READER
from reflex_control.moments import iso_or_none
from reflex_control.training.looking import datasets_to_look_at

__all__ = ["DATASET_PAGES"]

SHOWN: Final = 100
NEXT: Final = {
    "registered": ("Validate it, so that it may be trained on", "reflex datasets validate {id}"),
    "validating": ("Somebody validates it; if nobody does any more", "reflex datasets validate {id}"),
    "valid": ("Train on it", "reflex training start {id} --base act --then export,register"),
    "invalid": ("Mend what the validation names, then", "reflex datasets validate {id}"),
}
"""By state: in words, and as a command."""


def _list(visit: Visit) -> Response:
    READER.check(visit.who, {})
    with visit.plane.reading() as connection:
        found = datasets_to_look_at(connection, visit.owner, SHOWN + 1)
    shown = [_shown(row) for row in found[:SHOWN]]
    return visit.page("datasets.html", datasets=shown, shown=SHOWN, has_more=len(found) > SHOWN)


def _shown(row: Row[Any]) -> dict[str, Any]:
    words, command = NEXT[row.state]
    return {
        "id": row.id, "name": row.name, "place": row.place, "contentHash": row.content_hash, "state": row.state,
        "files": row.files, "sizeBytes": row.size_bytes, "createdAt": iso_of(row.created_at),
        "validatedAt": iso_or_none(row.validated_at), "judged": judged(row.told),
        "next": (words, command.format(id=row.id)),
    }  # fmt: skip


DATASET_PAGES: Final = (Page("GET", "/datasets", _list),)
