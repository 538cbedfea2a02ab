"""What the operations on sessions take: who wants to drive what, and what the robot's side reports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reflex.control.objects import Mode, SessionStatus
from reflex_control.http.routes.bodies import Body, Document, Identity, Name, Query, Reason
from reflex_control.moments import SECOND_MS
from reflex_control.sessions.authorizing import LONGEST_MS

__all__ = ["Closing", "NewSession", "Promotion", "Report", "SafeStop", "SessionQuery", "TakeOver"]

MAX_COUNT = 2**53
"""What JSON's numbers hold exactly everywhere."""

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class TakeOver(Body):
    reason: Reason
    session_id: Identity | None = None
    """Only this one is ended: who holds the robot by now may be somebody else."""


class NewSession(Body):
    deployment_id: Identity | None = None
    artifact_id: Identity | None = None
    robot_id: Identity | None = None
    base_model: Name | None = None
    runtime: Document | None = None
    mode: Mode = "dry_run"
    client_session_id: Name | None = None
    max_seconds: Annotated[int, Field(ge=1, le=LONGEST_MS // SECOND_MS)] | None = None
    take_over: TakeOver | None = None


class Promotion(Body):
    mode: Literal["apply_actions"] = "apply_actions"


class Closing(Body):
    reason: Reason = "closed"


class SafeStop(Body):
    reason: Reason = "not said"


class Report(Body):
    session_id: Identity | None = None
    deployment_id: Identity | None = None
    mode: Mode | None = None
    steps: Count | None = None
    applied_steps: Count | None = None
    safe_stops: Count | None = None
    guard_violations: Count | None = None
    refused_chunks: Count | None = None
    calibration_id: Name | None = None
    latency_ms: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    sent_at: Annotated[str, Field(max_length=64)] | None = None


class SessionQuery(Query):
    status: SessionStatus | None = None
    after: Identity | None = None
    """The session with which the page before this ended."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
