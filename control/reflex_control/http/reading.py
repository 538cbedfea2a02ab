"""What is read of a request: its key, its body within bounds of size and time, its fields. Nothing of it is echoed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from reflex.errors import ServiceError, service_error
from reflex.serving.setting_words import in_plain_words
from reflex.signed.canonical import canonical_json
from reflex.wire import AUTHORIZATION_HEADER, CONTENT_TYPE_HEADER, raw_name
from reflex_control.http.strict_json import read_object
from reflex_control.repeating import IDEMPOTENCY_KEY, Repetition

__all__ = ["IDEMPOTENCY_HEADER", "MAX_BODY_BYTES", "RECEIVE_S", "fields_of", "key_in",
           "query_of", "read_body", "repetition_of"]  # fmt: skip

MAX_BODY_BYTES: Final = 1024 * 1024
RECEIVE_S: Final = 5.0
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
AUTHORIZATION: Final = raw_name(AUTHORIZATION_HEADER)
JSON_TYPES: Final = ("application/json", "application/json;charset=utf-8")

ModelT = TypeVar("ModelT", bound=BaseModel)
RawHeaders = Iterable[tuple[bytes, bytes]]


def key_in(headers: RawHeaders) -> bytes | None:
    """The key; None when there is none, or more than one, or it is no Bearer."""
    given = [value for name, value in headers if name == AUTHORIZATION]
    scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    return key.strip(b" \t") if scheme.lower() == b"bearer" else None


async def read_body(request: Request, receive_s: float = RECEIVE_S, media_types: Sequence[str] = JSON_TYPES) -> bytes:
    """The body; `ServiceError` 408 when it does not come in time, 413 when it is too long, 415 for another type."""
    try:
        async with asyncio.timeout(receive_s):
            body = await _whole_body(request)
    except TimeoutError:
        raise service_error("request_timeout", f"the body did not arrive whole within {receive_s:g} s") from None
    except ClientDisconnect:
        raise service_error("request_timeout", "the connection ended before the body did") from None
    given = [value.lower().replace(" ", "") for value in request.headers.getlist(CONTENT_TYPE_HEADER)]
    if body and (len(given) != 1 or given[0] not in media_types):
        raise service_error("unsupported_media_type", f"send the body as {media_types[0]}")
    return body


async def _whole_body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise service_error("payload_too_large", "a body has at most 1 MiB", context={"limit": MAX_BODY_BYTES})
    return bytes(body)


def fields_of(kind: type[ModelT], body: bytes) -> ModelT:
    """The fields of a body; none at all is an object without fields. `ServiceError` names the field that is wrong."""
    return _validated(kind, read_object(body) if body else {})


def repetition_of(request: Request, body: bytes) -> Repetition | None:
    """By which a repeated request is recognised, where it has an Idempotency-Key."""
    given = request.headers.getlist(IDEMPOTENCY_HEADER)
    if not given:
        return None
    if len(given) > 1 or not IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise service_error(
            "invalid_value", f"{IDEMPOTENCY_HEADER} is 1 to 255 printable ASCII characters without spaces, sent once",
            context={"field": IDEMPOTENCY_HEADER},
        )  # fmt: skip
    return Repetition(given[0], f"{request.method} {request.url.path}", canonical_json(read_object(body or b"{}")))


def query_of(kind: type[ModelT] | None, request: Request) -> ModelT | None:
    """The parameters of the query, each at most once."""
    given = request.query_params.multi_items()
    if kind is None and given:
        raise service_error("invalid_value", "this route takes no parameters in its query")
    if kind is None:
        return None
    if len(dict(given)) != len(given):
        raise service_error("invalid_value", "a parameter of the query is given twice")
    return _validated(kind, dict(given))


def _validated(kind: type[ModelT], value: Mapping[str, Any]) -> ModelT:
    try:
        return kind.model_validate(value)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        raise _refusal(kind, first) from None


def _refusal(kind: type[BaseModel], error: ErrorDetails) -> ServiceError:
    names = sorted(str(field.alias or name) for name, field in kind.model_fields.items())
    if error["type"] == "extra_forbidden":
        return service_error("invalid_value", f"there is a field besides these: {', '.join(names) or 'none'}")
    field = next((part for part in error["loc"] if part in names), None)
    context = {} if field is None else {"field": field}
    if error["type"] == "missing":
        return service_error("missing_field", f"{field} is required", context=context)
    code = "wrong_type" if error["type"].endswith("_type") else "invalid_value"
    return service_error(code, f"{field}: {in_plain_words(error)}", context=context)
