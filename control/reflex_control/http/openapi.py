"""The OpenAPI document, made from the table of operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

import reflex
from reflex.errors import STATUS_OF
from reflex_control.http.operation import Operation
from reflex_control.http.reading import IDEMPOTENCY_HEADER
from reflex_control.identity.ids import ID
from reflex_control.repeating import IDEMPOTENCY_KEY

__all__ = ["document_of"]

Schema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{model}"
OF_EVERY_ONE: Final = (400, 422, 500, 503)
OF_A_KEY: Final = (401, 403, 429)
OF_A_BODY: Final = (408, 413, 415)
ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error", "message", "request_id"],
    "properties": {
        "error": {"type": "string", "enum": sorted(STATUS_OF)},
        "message": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
WATCHING: Final = {
    "/health": "Whether the store answers",
    "/health/live": "Whether the process answers",
    "/metrics": "Counts for Prometheus",
    "/openapi.json": "This document",
}


def document_of(operations: Sequence[Operation]) -> Schema:
    """OpenAPI 3.1, with the objects of the wire as its components."""
    models: dict[str, Any] = {
        _name(kind): kind for each in operations for kind in (each.takes, each.gives) if _is_model(kind)
    }
    adapters = [(name, "validation", TypeAdapter(kind)) for name, kind in sorted(models.items())]
    schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)  # type: ignore[arg-type]
    components: Schema = {**definitions.get("$defs", {}), "Error": ERROR}
    components |= {name: schema for (name, _), schema in schemas.items() if name not in components}
    paths: Schema = {path: {"get": _watched(path, summary)} for path, summary in WATCHING.items()}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Reflex control plane", "version": reflex.__version__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _watched(path: str, summary: str) -> Schema:
    failures = {str(status): _refusal(status) for status in ((500, 503) if path == "/health" else (500,))}
    return {"summary": summary, "responses": {"200": {"description": summary}, **failures}}


def _described(operation: Operation) -> Schema:
    answer = {"description": operation.summary, "content": _content(operation.gives)}
    described: Schema = {
        "summary": operation.summary,
        "description": _who(operation),
        "parameters": list(_parameters(operation)),
        "responses": {str(operation.status): answer, **{str(each): _refusal(each) for each in _refusals(operation)}},
        "security": [] if operation.needs.is_public else [{"key": []}],
    }
    if operation.takes is not None:
        content = {"application/json": {"schema": _reference(_name(operation.takes))}}
        is_needed = any(field.is_required() for field in operation.takes.model_fields.values())
        described["requestBody"] = {"required": is_needed, "content": content}
    return described


def _refusals(operation: Operation) -> Iterable[int]:
    found = {*OF_EVERY_ONE, *operation.refuses}
    found |= {429} if operation.needs.is_public else set(OF_A_KEY)  # an address without a key is counted, too
    found |= set() if operation.takes is None else set(OF_A_BODY)
    found |= {404} if list(operation.parameters) else set()
    found |= {409} if operation.method == "POST" else set()
    return sorted(found)


def _parameters(operation: Operation) -> Iterable[Schema]:
    for name in operation.parameters:
        yield {"name": name, "in": "path", "required": True,
               "schema": {"type": "string", "pattern": f"^{ID.pattern}$"}}  # fmt: skip
    if operation.asks is not None:
        for name, schema in operation.asks.model_json_schema()["properties"].items():
            yield {"name": name, "in": "query", "schema": schema}
    if operation.is_repeatable:
        pattern = f"^{IDEMPOTENCY_KEY.pattern}$"
        yield {"name": IDEMPOTENCY_HEADER, "in": "header", "schema": {"type": "string", "pattern": pattern}}


def _who(operation: Operation) -> str:
    needs = operation.needs
    if needs.is_public:
        return "Without a key."
    own = " Or the key itself." * needs.own_key + " Or the robot's own key." * needs.own_robot
    return (f"Needs a key with the scope {' or '.join(needs.scopes)}." if needs.scopes else "Needs any key.") + own


def _content(gives: Any) -> Schema:  # noqa: ANN401 - a class, or a media type
    if isinstance(gives, str):
        return {gives: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": _reference(_name(gives))}}


def _refusal(status: int) -> Schema:
    codes = sorted(code for code, of in STATUS_OF.items() if of == status)
    return {"description": ", ".join(codes), "content": {"application/json": {"schema": _reference("Error")}}}


def _name(kind: Any) -> str:  # noqa: ANN401 - a class
    """What a body and an answer of one name are told apart by."""
    is_taken = isinstance(kind, type) and issubclass(kind, BaseModel)
    return f"{kind.__name__}Request" if is_taken else str(kind.__name__)


def _is_model(kind: Any) -> bool:  # noqa: ANN401 - a class, a media type or None
    return kind is not None and not isinstance(kind, str)


def _reference(name: str) -> Schema:
    return {"$ref": REFERENCE.format(model=name)}
