"""What one operation of the control plane is, without any I/O: how it is sent, and how its answer is read."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import urlencode

from reflex.client.call import Answer, Call
from reflex.errors import TransportError, service_error
from reflex.wire import AUTHORIZATION_HEADER, MAX_ANSWER_BYTES, parse_object

__all__ = ["IDEMPOTENCY_HEADER", "Ask", "create", "download", "get", "post"]

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
DONE: Final = frozenset({200, 201})
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)
MAX_DOWNLOAD_BYTES: Final = 256 * 2**20
"""Some 300,000 receipts."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Ask(Generic[ResultT]):
    """One request, whole but for the key; a `ResultT` is what `read` makes of its answer."""

    method: str
    path: str
    read: Callable[[bytes], ResultT]
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    """The same on every retry, by which the control plane makes one object of them."""
    repeats: bool = True
    needs_key: bool = True
    max_answer_bytes: int = MAX_ANSWER_BYTES

    def as_call(self, api_key: str | None) -> Call:
        headers = {} if api_key is None else {AUTHORIZATION_HEADER: f"Bearer {api_key}"}
        if self.idempotency_key is not None:
            headers[IDEMPOTENCY_HEADER] = self.idempotency_key
        return Call(
            self.method,
            self.path,
            None if self.body is None else _encoded(self.body),
            final_statuses=DONE,
            headers=headers,
            repeats=self.repeats,
            tells_deadline=False,
            max_answer_bytes=self.max_answer_bytes,
        )

    def result_of(self, answer: Answer) -> ResultT:
        """`TransportError` for what is no answer of a control plane."""
        return self.read(answer.body)


def get(path: str, *ids: str, holds: str, needs_key: bool = True, **query: object) -> Ask[Any]:
    """Ask for what is there. `holds` is the member by which its answer is known, `query` what is asked for."""
    where = urlencode(_given(query))
    return Ask("GET", _path(path, ids) + (f"?{where}" if where else ""), _holding(holds), needs_key=needs_key)


def download(path: str, **query: object) -> Ask[bytes]:
    """Ask for a file."""
    where = urlencode(_given(query))
    return Ask("GET", path + (f"?{where}" if where else ""), bytes, max_answer_bytes=MAX_DOWNLOAD_BYTES)


def create(path: str, *ids: str, holds: str, needs_key: bool = True, **fields: object) -> Ask[Any]:
    """Make something, once, however often the request is sent."""
    body, key = _given(fields), str(uuid.uuid4())
    return Ask("POST", _path(path, ids), _holding(holds), body, idempotency_key=key, needs_key=needs_key)


def post(path: str, *ids: str, holds: str, repeats: bool = True, needs_key: bool = True, **fields: object) -> Ask[Any]:
    """Change something; `repeats` says whether doing it twice does no more than doing it once."""
    return Ask("POST", _path(path, ids), _holding(holds), _given(fields), repeats=repeats, needs_key=needs_key)


def _path(template: str, ids: tuple[str, ...]) -> str:
    return template.format(*map(_checked_id, ids))


def _checked_id(given: object) -> str:
    """What is no id could name another route."""
    if isinstance(given, str) and ID.fullmatch(given):
        return given
    raise service_error("wrong_type", f"{given!r} is no id; one is like deploy_abc123, as the lists show them")


def _given(fields: Mapping[str, object]) -> dict[str, Any]:
    """The fields that have a value, by their names in JSON."""
    return {_camel_case(name): value for name, value in fields.items() if value is not None}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as exc:
        raise service_error("wrong_type", f"an argument cannot be sent as JSON: {exc}") from exc


def _holding(member: str) -> Callable[[bytes], Any]:
    def read(body: bytes) -> Any:  # noqa: ANN401 - which object it is says the `Ask`
        found = parse_object(body)
        if member not in found:
            raise TransportError(f"the answer has no {member!r}; it is another server that answers there")
        return cast("Any", found)

    return read
