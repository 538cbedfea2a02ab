"""The OpenAPI description of the routes, made for the policy that is served: its cameras, its state length."""

from __future__ import annotations

from typing import Any, Final, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reflex.errors import CONTROL_CODES, STATUS_OF
from reflex.wire import (
    DEADLINE_HEADER,
    DEFAULT_DEADLINE_MS,
    LARGEST_STATE,
    MAX_DEADLINE_MS,
    MAX_ID_CHARACTERS,
    MAX_INSTRUCTION_CHARACTERS,
    MAX_SEED,
    MIN_DEADLINE_MS,
    RETRY_AFTER_HEADER,
    SessionMode,
)
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["document_routes"]

Schema = dict[str, Any]

ACT_STATUSES: Final = (400, 401, 403, 413, 415, 422, 429, 500, 503, 504)
IMAGE_TEXT: Final[Schema] = {
    "type": "string",
    "format": "image-base64",
    "description": "base64 of a JPEG or PNG, at most 4 megapixels; a data: URI too",
}
BLACK_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
"""The smallest PNG."""


def document_routes(app: FastAPI, policy: ServedPolicy) -> None:
    """The routes bypass FastAPI's own models, so they are described here by hand."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema["paths"] = _paths(policy)
            schema["components"] = {"schemas": {"Error": _error_schema()}}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _paths(policy: ServedPolicy) -> Schema:
    health = _health_schema()
    not_now = _with_retry_after(_json("Not now", health))
    return {
        "/act": {"post": _act(policy)},
        "/health": {"get": _get("Whether this instance should get traffic", health, {"503": not_now})},
        "/health/live": {"get": _get("Whether the process itself is alive", {"type": "object"})},
        "/config": {"get": _get("The policy's reflex_config.json, and its embodiment", {"type": "object"})},
        "/metrics": {"get": {"summary": "Prometheus metrics", "operationId": "metrics", "responses": {
            "200": {"description": "Exposition", "content": {"text/plain": {"schema": {"type": "string"}}}}}}},
    }  # fmt: skip


def _act(policy: ServedPolicy) -> Schema:
    return {
        "summary": "One observation in, one chunk of actions out",
        "operationId": "act",
        "parameters": [
            {
                "name": DEADLINE_HEADER,
                "in": "header",
                "required": False,
                "description": "Bounds the whole request",
                "schema": {
                    "type": "integer",
                    "minimum": MIN_DEADLINE_MS,
                    "maximum": MAX_DEADLINE_MS,
                    "default": DEFAULT_DEADLINE_MS,
                },
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _request_schema(policy), "examples": _examples(policy)}},
        },
        "responses": {
            "200": _json("The chunk", _answer_schema(policy)),
            **{str(status): _error(status) for status in ACT_STATUSES},
        },
    }


def _request_schema(policy: ServedPolicy) -> Schema:
    config = policy.config
    required = [camera.name for camera in config.cameras if camera.required]
    only_first = [name for name in required if name != config.cameras[0].name]
    shared: Schema = {
        "instruction": {"type": "string", "maxLength": MAX_INSTRUCTION_CHARACTERS},
        "state": {
            "type": "array",
            "items": {"type": "number", "minimum": -LARGEST_STATE, "maximum": LARGEST_STATE},
            "minItems": config.state_dim,
            "maxItems": config.state_dim,
        },
        "episode_id": _nullable(
            {"type": "string", "format": "printable", "minLength": 1, "maxLength": MAX_ID_CHARACTERS}
        ),
        "request_id": _nullable(
            {"type": "string", "format": "printable", "minLength": 1, "maxLength": MAX_ID_CHARACTERS}
        ),
        "seed": _nullable({"type": "integer", "minimum": 0, "maximum": MAX_SEED}),
    }
    by_camera = {
        "type": "object",
        "properties": {camera.name: IMAGE_TEXT for camera in config.cameras},
        "required": required,
        "additionalProperties": False,
    }
    as_array = {**IMAGE_TEXT, "description": "as image_b64; or an array of height x width x 3 integers from 0 to 255"}
    forms: list[tuple[str, Schema]] = [("images", by_camera)]
    if not only_first:
        forms += [("image_b64", IMAGE_TEXT), ("image", as_array)]
    names = ("images", "image_b64", "image")
    return {"oneOf": [_form(shared, name, schema, names) for name, schema in forms]}


def _examples(policy: ServedPolicy) -> Schema:
    cameras = [camera.name for camera in policy.config.cameras if camera.required]
    value = {
        "instruction": "pick up the red cup",
        "state": list(policy.embodiment.mean_state),
        "images": dict.fromkeys(cameras, BLACK_PIXEL),
        "seed": 7,
    }
    return {"one black pixel": {"value": value}}


def _form(shared: Schema, name: str, schema: Schema, names: tuple[str, ...]) -> Schema:
    """The request with its images in one of the three fields, the others null or absent."""
    others = {other: {"type": "null"} for other in names if other != name}
    return {
        "type": "object",
        "properties": {**shared, name: schema, **others},
        "required": ["instruction", "state", name],
    }


def _answer_schema(policy: ServedPolicy) -> Schema:
    config = policy.config
    row = {"type": "array", "items": {"type": "number"}, "minItems": config.action_dim, "maxItems": config.action_dim}
    number, boolean = {"type": "number"}, {"type": "boolean"}
    properties: Schema = {
        "actions": {"type": "array", "items": row, "minItems": config.horizon, "maxItems": config.horizon},
        "num_actions": {"const": config.horizon},
        "action_dim": {"const": config.action_dim},
        "latency_ms": number,
        "hz": number,
        "denoising_steps": {"type": "integer"},
        "inference_mode": {"type": "string"},
        "guard_clamped": boolean,
        "guard_violations": {"type": "array", "items": {"type": "object"}},
        "request_id": {"type": "string"},
        "model_version": {"type": "string"},
        "timing": {"type": "object", "additionalProperties": number},
    }
    optional: Schema = {
        "n_action_steps": {
            **({} if config.n_action_steps is None else {"const": config.n_action_steps}),
            "type": "integer",
            "description": "how many of them to execute before the next request; absent where that is unknown",
        },
        "robot_id": {"type": "string", "description": "absent when none is configured"},
        "policy_slot": {"enum": ["a", "b"], "description": "absent with one policy"},
        "routing_degraded": {
            "type": "boolean",
            "description": "no episode_id, or the episode's own slot is out; absent with one policy",
        },
        "record_seq": {"type": "integer", "minimum": 1, "description": "absent when nothing is recorded"},
        "mode": {
            "enum": list(get_args(SessionMode)),
            "description": "what the session may do with the actions; absent when the server asks for no sessions",
        },
    }
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _health_schema() -> Schema:
    properties: Schema = {
        "status": {"enum": ["warming", "ready", "degraded"]},
        "model_loaded": {"type": "boolean"},
        "model_version": {"type": "string"},
        "policy_hash": {"type": "string"},
        "guard_active": {"type": "boolean"},
        "time": {"type": "string", "format": "date-time"},
        "inference_mode": {"type": "string"},
        "uptime_seconds": {"type": "number", "minimum": 0},
        "robot_id": {"type": ["string", "null"]},
        "cuda_graphs_active": {"type": "boolean"},
    }
    optional: Schema = {
        "reason": {"type": "string", "description": "why it is not ready; absent when it is"},
        "slots": {"type": "object", "description": "each of two policies"},
        "slo_violated": {
            "type": "boolean",
            "description": "whether the latency objective is missed; absent without one",
        },
        "shadow": {"type": "object", "description": "the shadow policy"},
        "recording": {"type": "string", "description": "why nothing is being recorded; absent while all is well"},
        "keys": {"type": "string", "description": "why the keys were not read again; absent while all is well"},
        "sessions": {"type": "string", "description": "why ends of sessions are not heard; absent while all is well"},
    }
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _error_schema() -> Schema:
    return {
        "type": "object",
        "required": ["error", "message", "request_id"],
        "properties": {
            "error": {"type": "string", "enum": sorted(STATUS_OF.keys() - CONTROL_CODES)},
            "message": {"type": "string"},
            "request_id": {"type": "string"},
        },
    }


def _error(status: int) -> Schema:
    codes = sorted(code for code, of in STATUS_OF.items() if of == status and code not in CONTROL_CODES)
    answer = _json(", ".join(codes), {"$ref": "#/components/schemas/Error"})
    if status in (429, 503):
        return _with_retry_after(answer)
    return answer


def _with_retry_after(answer: Schema) -> Schema:
    seconds = {"description": "seconds", "required": True, "schema": {"type": "integer", "minimum": 1}}
    return {**answer, "headers": {RETRY_AFTER_HEADER: seconds}}


def _get(summary: str, schema: Schema, more: Schema | None = None) -> Schema:
    identifier = summary.lower().replace(" ", "_").replace("'", "").replace(".", "_")
    return {"summary": summary, "operationId": identifier, "responses": {"200": _json(summary, schema), **(more or {})}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
