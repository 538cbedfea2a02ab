"""Receipts over HTTP, page by page or as one file, and the keys that signed them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from starlette.responses import StreamingResponse

from reflex.control import objects
from reflex.signed.receipts import FIRST_SEQ, line_of, seal_header
from reflex_control.http.operation import PUBLIC, Call, Operation
from reflex_control.http.routes.bodies import ReceiptQuery
from reflex_control.http.routes.registry import READ
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import last_seq, receipts_of
from reflex_control.signing_keys import active_key, keyset

__all__ = ["RECEIPT_OPERATIONS", "exported_lines"]

LINES: Final = "application/x-ndjson"
PAGE: Final = 500


def _list(call: Call) -> dict[str, Any]:
    query: ReceiptQuery = call.query
    wanted = {name: getattr(query, name) for name in ("deployment_id", "session_id", "robot_id", "kind")}
    with call.plane.reading() as connection:
        found = receipts_of(
            connection, call.who.organisation_id, after=query.after, limit=query.limit + 1, **wanted
        )  # one more than is shown: whether there is a next page
    shown = found[: query.limit]
    return {"receipts": shown, "nextAfter": shown[-1]["seq"] if len(found) > len(shown) else None}


def exported_lines(plane: Plane, actor: Actor) -> Iterator[bytes]:
    """All receipts of the actor's organisation, up to now: a header, then pieces of whole lines."""
    owner = actor.organisation_id
    with plane.writing(actor) as writing:
        last = last_seq(writing.connection, owner)
        key = active_key(writing.connection)
        header = seal_header(owner, keyset(writing.connection), FIRST_SEQ, last, writing.now_ms, key)
    return _lines(plane, owner, header, last)


def _export(call: Call) -> StreamingResponse:
    lines = exported_lines(call.plane, call.who)
    headers = {"cache-control": "no-store", "content-disposition": 'attachment; filename="receipts.jsonl"'}
    return StreamingResponse(lines, media_type=LINES, headers=headers)


def _lines(plane: Plane, owner: str, header: dict[str, object], last: int) -> Iterator[bytes]:
    """What is written meanwhile has a later number, and is not in this file."""
    yield line_of(header)
    after = 0
    while after < last:
        with plane.reading() as connection:
            page = receipts_of(connection, owner, after=after, limit=min(PAGE, last - after))
        yield b"".join(map(line_of, page))
        after = page[-1]["seq"]


def _keyset(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return keyset(connection).as_json()


RECEIPT_OPERATIONS: Final = (
    Operation("GET", "/v1/receipts", "Receipts in their order, a page at a time", READ, _list, objects.Receipts,
              asks=ReceiptQuery),
    Operation("GET", "/v1/receipts/export", "All receipts as JSON lines, of which the first holds the keys", READ,
              _export, LINES),
    Operation("GET", "/v1/keyset", "The keys that sign credentials and receipts", PUBLIC, _keyset,
              objects.PublicKeys),
)  # fmt: skip
