"""Robots: what one is, which there are, and how one gets its key."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from reflex.control import asks
from reflex.control.objects import (
    Claim,
    HeartbeatAnswer,
    Mode,
    PairingToken,
    RegisteredSchema,
    RegisteredSchemas,
    Robot,
    Robots,
)
from reflex.sdk.asking import answer
from reflex.sdk.files import read_schema

__all__ = [
    "claim_pairing_token",
    "create_pairing_token",
    "heartbeat_robot",
    "list_robot_schemas",
    "list_robots",
    "register_robot",
    "register_robot_schema",
]


def register_robot_schema(
    *,
    name: str,
    schema: Mapping[str, Any] | str | PathLike[str],
    robot_kind: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> RegisteredSchema:
    """Register what a robot is: `schema` is a mapping, or the path of a file of JSON or YAML."""
    return answer(
        asks.register_robot_schema(name=name, schema=read_schema(schema), robot_kind=robot_kind),
        api_key,
        convex_url,
        backend_url,
    )


def list_robot_schemas(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> RegisteredSchemas:
    """Every schema, as `{"robotSchemas": [...]}`."""
    return answer(
        asks.list_robot_schemas(),
        api_key,
        convex_url,
        backend_url,
    )


def register_robot(
    *,
    name: str,
    robot_schema_id: str,
    robot_kind: str | None = None,
    calibration_id: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Robot:
    """Register one machine of a schema; `calibration_id` is the hash of its calibration file."""
    return answer(
        asks.register_robot(
            name=name, robot_schema_id=robot_schema_id, robot_kind=robot_kind, calibration_id=calibration_id
        ),
        api_key,
        convex_url,
        backend_url,
    )


def list_robots(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Robots:
    """Every robot, and whether it is paired and online, as `{"robots": [...]}`."""
    return answer(
        asks.list_robots(),
        api_key,
        convex_url,
        backend_url,
    )


def create_pairing_token(
    robot_id: str,
    *,
    ttl_seconds: int | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> PairingToken:
    """Mint a token by which the robot fetches its own key, once; 3600 seconds if not said otherwise."""
    return answer(
        asks.create_pairing_token(robot_id, ttl_seconds=ttl_seconds),
        api_key,
        convex_url,
        backend_url,
    )


def claim_pairing_token(
    token: str,
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Claim:
    """Exchange a pairing token for the robot's own key, on the robot; needs no other key."""
    return answer(
        asks.claim_pairing_token(token),
        api_key,
        convex_url,
        backend_url,
    )


def heartbeat_robot(
    robot_id: str,
    *,
    session_id: str | None = None,
    deployment_id: str | None = None,
    mode: Mode | None = None,
    steps: int | None = None,
    applied_steps: int | None = None,
    safe_stops: int | None = None,
    guard_violations: int | None = None,
    refused_chunks: int | None = None,
    calibration_id: str | None = None,
    latency_ms: float | None = None,
    sent_at: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> HeartbeatAnswer:
    """Say that the robot lives, and how its session goes; the answer says which mode holds from now on."""
    return answer(
        asks.heartbeat_robot(
            robot_id,
            session_id=session_id,
            deployment_id=deployment_id,
            mode=mode,
            steps=steps,
            applied_steps=applied_steps,
            safe_stops=safe_stops,
            guard_violations=guard_violations,
            refused_chunks=refused_chunks,
            calibration_id=calibration_id,
            latency_ms=latency_ms,
            sent_at=sent_at,
        ),
        api_key,
        convex_url,
        backend_url,
    )
