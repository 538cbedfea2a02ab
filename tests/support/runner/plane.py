"""A control plane that says what it is told to say; an error in its place is raised."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from reflex.errors import ReflexError, ServiceError, service_error
from reflex_runner.config.sections import Mode

__all__ = ["Plane", "QuietFeed"]


class QuietFeed:
    """Says what is put into it: an event, or an error that breaks it."""

    def __init__(self) -> None:
        self.said: queue.Queue[Any] = queue.Queue()
        self.calls = 0
        self.is_open = True
        self.is_released = False

    def events(self) -> Iterator[Any]:
        self.calls += 1
        while (event := self.said.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self) -> None:
        self.said.put(None)

    def release(self) -> None:
        self.is_released = True


@dataclass
class Plane:
    """`over` is the session that has ended, as a heartbeat's answer has it."""

    mode: Mode = "apply_actions"
    act_url: Any = field(default_factory=lambda: ["http://a:1", "http://b:1"])
    beats: list[dict[str, Any]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    refusal: ServiceError | None = None
    refuses_to_apply: bool = False
    fault: ReflexError | None = None
    over: dict[str, Any] | None = None
    leaves_out: set[str] = field(default_factory=set)
    """Of a heartbeat's answer."""
    on_beat: Callable[[], object] = lambda: None

    feed: QuietFeed = field(default_factory=lambda: QuietFeed())

    def event_feed(self, kind: str) -> QuietFeed:
        assert kind == "session"
        return self.feed

    def authorize_session(self, **fields: Any) -> Any:
        self.asked.append(fields)
        refusal = service_error("forbidden", "scope promote is missing") if self.refuses_to_apply else self.refusal
        if refusal is not None and fields["mode"] == "apply_actions":
            raise refusal
        return {
            "sessionId": "sess_1", "credential": "rfx_sess_c0.c2ln", "credentialExpiresAt": "", "expiresAt": "",
            "robotId": "robot_1", "actUrl": self.act_url, "mode": fields["mode"], "deploymentId": "deploy_1",
            "modelVersion": "pick@1", "heartbeatSeconds": 10.0,
        }  # fmt: skip

    def heartbeat_robot(self, robot_id: str, **report: Any) -> Any:
        self.beats.append({"robot_id": robot_id, **report})
        self.on_beat()
        if self.fault is not None:
            raise self.fault
        credential = None if self.over else f"rfx_sess_c{len(self.beats)}.c2ln"
        answer = {
            "mode": self.mode, "session": self.over, "credential": credential,
            "serverTime": "2026-01-02T03:04:05Z", "credentialExpiresAt": "2026-01-02T03:06:05Z",
        }  # fmt: skip
        return {name: value for name, value in answer.items() if name not in self.leaves_out}

    def get_deployment(self, deployment_id: str) -> Any:
        return {"id": deployment_id, "robotSchemaId": None}

    def list_robot_schemas(self) -> Any:
        return {"robotSchemas": []}

    def report_safe_stop(self, session_id: str, *, reason: str) -> Any:
        self.stops.append(f"{session_id}: {reason}")
        if self.fault is not None:
            raise self.fault

    def close_session(self, session_id: str, *, reason: str = "") -> Any:
        self.closed.append(f"{session_id}: {reason}")
