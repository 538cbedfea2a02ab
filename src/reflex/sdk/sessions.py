"""Sessions: one robot driven by one deployment for a while."""

from __future__ import annotations

from reflex.control import asks
from reflex.control.objects import Grant, Mode, Session, Sessions, SessionStatus
from reflex.control.opening import open_client
from reflex.sdk.asking import answer

__all__ = ["authorize_session", "close_session", "list_sessions", "promote_session"]


def authorize_session(
    *,
    artifact_id: str | None = None,
    deployment_id: str | None = None,
    robot_id: str | None = None,
    base_model: str | None = "pi0.5",
    runtime: asks.Runtime | None = None,
    mode: Mode = "dry_run",
    client_session_id: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Grant:
    """Get leave to drive a robot: a session id, and the credential for driving a transport of your own."""
    return answer(
        asks.authorize_session(
            artifact_id=artifact_id,
            deployment_id=deployment_id,
            robot_id=robot_id,
            base_model=base_model,
            runtime=runtime,
            mode=mode,
            client_session_id=client_session_id,
        ),
        api_key,
        convex_url,
        backend_url,
    )


def promote_session(
    session_id: str,
    *,
    mode: Mode = "apply_actions",
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Session:
    """Let the session move its robot. `DeploymentNotReadyError` names what the doctor found."""
    return answer(
        asks.promote_session(session_id, mode=mode),
        api_key,
        convex_url,
        backend_url,
    )


def close_session(
    session_id: str,
    *,
    reason: str = "sdk_closed",
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Session:
    """End the session; it never returns to life."""
    return answer(
        asks.close_session(session_id, reason=reason),
        api_key,
        convex_url,
        backend_url,
    )


def list_sessions(
    *,
    status: SessionStatus | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Sessions:
    """Every session, or those of one status, as `{"sessions": [...]}`."""
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        found = page = client.list_sessions(status=status)
        while (after := page.get("nextAfter")) is not None:
            page = client.list_sessions(status=status, after=after)
            found["sessions"] += page["sessions"]
    return {**found, "nextAfter": None}
