"""The OpenAPI description of the routes, made for the policy that is served: its cameras, its state length."""

from __future__ import annotations

from typing import Any, Final, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reflex.errors import CONTROL_CODES, STATUS_OF
from reflex.policy_config import PolicyConfig
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
    A2c2Reason,
    CorrectResult,
    RtcReason,
    SessionMode,
)
from reflex_frontend.http.config import config_schema
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["document_routes"]

Schema = dict[str, Any]

ACT_STATUSES: Final = (400, 401, 403, 413, 415, 422, 429, 500, 503, 504)
IMAGE_TEXT: Final[Schema] = {
    "type": "string",
    "format": "image-base64",
    "description": "base64 of a JPEG or PNG, at most 4 megapixels; a data: URI too",
}
MSGPACK: Final = "application/msgpack"
PACKED: Final[Schema] = {"type": "string", "format": "binary"}
BLACK_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
"""The smallest PNG."""


def document_routes(app: FastAPI, policy: ServedPolicy, *, corrects: bool = False) -> None:
    """The routes bypass FastAPI's own models, so they are described by hand: /act/correct where there is a head."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema["paths"] = _paths(policy) | ({"/act/correct": {"post": _correct(policy)}} if corrects else {})
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
        "/config": {"get": _get("The policy's reflex_config.json, and its embodiment", config_schema())},
        "/v1/actions/metadata": {"get": _get("What a client must know before it asks", {"type": "object"})},
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
            "description": "JSON; or the same fields in msgpack, where an image is a file's bytes or an array of numpy",
            "content": {
                "application/json": {"schema": _request_schema(policy), "examples": _examples(policy)},
                "application/msgpack": {"schema": PACKED},
            },
        },
        "responses": {
            "200": {
                "description": "The chunk",
                "content": {
                    "application/json": {"schema": _answer_schema(policy)},
                    "application/msgpack": {"schema": PACKED},
                },
            },
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
        **_chunk_fields(config),
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


def _chunk_fields(config: PolicyConfig) -> Schema:
    """What a request may say of the chunk that is being executed."""
    steps = {"type": "integer", "minimum": 0, "maximum": config.horizon}
    row = {
        "type": "array",
        "items": {"type": "number", "minimum": -LARGEST_STATE, "maximum": LARGEST_STATE},
        "minItems": config.action_dim,
        "maxItems": config.action_dim,
    }
    rest = {"type": "array", "items": row, "maxItems": config.horizon}
    return {
        "executed_steps": _nullable({**steps, "description": "of the episode's last answer"}),
        "inference_delay_steps": _nullable({**steps, "description": "until this answer is there"}),
        "prev_actions": _nullable({**rest, "description": "what is left of the chunk; excludes executed_steps"}),
    }


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
        "not": {"required": ["executed_steps", "prev_actions"]},
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
        "injected_latency_ms": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "how long the answer was held back for a trial; absent where none is",
        },
        "rtc_applied": {"type": "boolean", "description": "absent without --rtc"},
        "rtc_delay_steps": {"type": "integer", "minimum": 0, "description": "absent without --rtc"},
        "cache_hit": {"type": "boolean", "description": "absent without --prefix-cache-mb"},
        "rtc_reason": {"enum": list(get_args(RtcReason)), "description": "why the chunk continues none"},
        **_a2c2_fields(),
        "velocity_change": {
            "type": "array",
            "items": number,
            "description": "one for each denoising step; absent without --tell-velocity-change",
        },
        "mode": {
            "enum": list(get_args(SessionMode)),
            "description": "what the session may do with the actions; absent when the server asks for no sessions",
        },
    }
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _a2c2_fields() -> Schema:
    """What an answer says of the correction of its actions."""
    share = {"type": "number", "minimum": 0, "description": "the largest change, as a share of its axis' range"}
    return {
        "a2c2_applied": {"type": "boolean", "description": "absent without --a2c2-checkpoint"},
        "a2c2_reason": {"enum": list(get_args(A2c2Reason)), "description": "why nothing was corrected"},
        "a2c2_correction_magnitude": share,
    }


def _correct(policy: ServedPolicy) -> Schema:
    """As /act, with its own body and answer."""
    act = _act(policy)
    fields = act["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]["properties"]
    answer = act["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    chunk = _chunk_fields(policy.config)
    rest = {**chunk["prev_actions"]["anyOf"][0], "minItems": 1, "description": "what is left of the chunk"}
    position = {**chunk["executed_steps"]["anyOf"][0], "description": "of the first of them in the chunk"}
    body = {
        "type": "object",
        "properties": {
            "state": fields["state"],
            "actions": rest,
            "position": _nullable(position),
            "episode_id": fields["episode_id"],
            "request_id": fields["request_id"],
        },
        "required": ["state", "actions"],
    }
    result = {name: answer[name] for name in answer if name in CorrectResult.__annotations__}
    result |= {"actions": {**answer["actions"], "minItems": 1}, "num_actions": {"type": "integer", "minimum": 1}}
    required = sorted(CorrectResult.__required_keys__)
    act |= {"summary": "The rest of a chunk, corrected by the newest state", "operationId": "correct"}
    act["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": body}, MSGPACK: {"schema": PACKED}},
    }
    content = {"application/json": {"schema": {"type": "object", "properties": result, "required": required}}}
    act["responses"]["200"] = {
        "description": "What is left, corrected",
        "content": content | {MSGPACK: {"schema": PACKED}},
    }
    act["responses"]["404"] = _error(404)
    return act


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
        "device": {"enum": ["cpu", "cuda", "trt-rtx"], "description": "absent where Triton runs elsewhere"},
        "gpu": {"type": "string", "description": "the card's name; absent without one"},
        "device_passed_over": {"type": "array", "items": {"type": "string"}, "description": "by --device auto"},
        "reason": {"type": "string", "description": "why it is not ready; absent when it is"},
        "injected_latency_ms": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "how long every answer is held back for a trial; absent where none is",
        },
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
