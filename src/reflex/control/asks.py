"""Every operation of the control plane, once: its arguments, its route, and what is answered.

Both clients have them as methods of the same name and arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from reflex.control import objects
from reflex.control.ask import Ask, create, download, get, post
from reflex.control.objects import Mode, SessionStatus

__all__ = [
    "authorize_session",
    "cancel_device_login",
    "claim_pairing_token",
    "close_session",
    "confirm_device_login",
    "create_deployment",
    "create_key",
    "create_pairing_token",
    "export_receipts",
    "get_deployment",
    "get_session",
    "heartbeat_robot",
    "list_deployments",
    "list_keys",
    "list_models",
    "list_receipts",
    "list_robot_schemas",
    "list_robots",
    "list_sessions",
    "promote_session",
    "public_keys",
    "refuse_device_login",
    "register_model",
    "register_robot",
    "register_robot_schema",
    "report_safe_stop",
    "revoke_key",
    "revoke_model",
    "revoke_robot",
    "rotate_key",
    "run_deployment_doctor",
    "start_device_login",
    "take_device_login",
    "whoami",
]

BASE_MODEL = "pi0.5"
Runtime = Mapping[str, Any] | Sequence[str] | str
"""`act_url` of one frontend or of several, or a mapping that has it."""


def create_deployment(
    *,
    name: str,
    model_id: str,
    robot_schema_id: str | None = None,
    runtime: Runtime | None = None,
    mode: Mode = "dry_run",
    spec: Mapping[str, Any] | None = None,
) -> Ask[objects.Deployment]:
    """Deploy a model for robots of a schema; `mode` is the highest that its sessions may reach."""
    return create("/v1/deployments", holds="id", name=name, model_id=model_id, robot_schema_id=robot_schema_id,
                  runtime=_runtime(runtime), mode=mode, spec=spec)  # fmt: skip


def list_deployments() -> Ask[objects.Deployments]:
    """Every deployment of the organisation."""
    return get("/v1/deployments", holds="deployments")


def get_deployment(deployment_id: str) -> Ask[objects.Deployment]:
    """One deployment, with what its doctor found last."""
    return get("/v1/deployments/{}", deployment_id, holds="id")


def run_deployment_doctor(deployment_id: str) -> Ask[objects.DoctorReport]:
    """Check whether the deployment may drive hardware; each failed check has its fix."""
    return post("/v1/deployments/{}/doctor", deployment_id, holds="checks")


def authorize_session(
    *,
    artifact_id: str | None = None,
    deployment_id: str | None = None,
    robot_id: str | None = None,
    base_model: str | None = BASE_MODEL,
    runtime: Runtime | None = None,
    mode: Mode = "dry_run",
    client_session_id: str | None = None,
    max_seconds: float | None = None,
    take_over: str | None = None,
) -> Ask[objects.Grant]:
    """Get leave to drive a robot. `take_over` is the reason for closing the session that drives it now."""
    return create(
        "/v1/sessions",
        holds="sessionId",
        artifact_id=artifact_id,
        deployment_id=deployment_id,
        robot_id=robot_id,
        base_model=base_model,
        runtime=_runtime(runtime),
        mode=mode,
        client_session_id=client_session_id,
        max_seconds=max_seconds,
        take_over=None if take_over is None else {"reason": take_over},
    )


def list_sessions(
    *, status: SessionStatus | None = None, after: str | None = None, limit: int | None = None
) -> Ask[objects.Sessions]:
    """Sessions, oldest first, or those of one status, a page at a time: `nextAfter` of one is `after` of the next."""
    return get("/v1/sessions", holds="sessions", status=status, after=after, limit=limit)


def get_session(session_id: str) -> Ask[objects.Session]:
    """One session, with its counts."""
    return get("/v1/sessions/{}", session_id, holds="id")


def promote_session(session_id: str, *, mode: Mode = "apply_actions") -> Ask[objects.Session]:
    """Let the session move its robot; `DeploymentNotReadyError` names what the doctor found."""
    return post("/v1/sessions/{}/promote", session_id, holds="id", repeats=False, mode=mode)


def close_session(session_id: str, *, reason: str = "sdk_closed") -> Ask[objects.Session]:
    """End the session; its credential drives nothing any more."""
    return post("/v1/sessions/{}/close", session_id, holds="id", reason=reason)


def report_safe_stop(session_id: str, *, reason: str) -> Ask[objects.Session]:
    """Count a safe stop of the session's robot, and write the receipt of it."""
    return post("/v1/sessions/{}/safe-stop", session_id, holds="id", repeats=False, reason=reason)


def register_robot_schema(
    *, name: str, schema: Mapping[str, Any], robot_kind: str | None = None
) -> Ask[objects.RegisteredSchema]:
    """Register what a robot is: axes, units, limits, cameras, and how it comes to a safe stop."""
    return create("/v1/robot-schemas", holds="id", name=name, schema=schema, robot_kind=robot_kind)


def list_robot_schemas() -> Ask[objects.RegisteredSchemas]:
    """Every robot schema of the organisation."""
    return get("/v1/robot-schemas", holds="robotSchemas")


def register_robot(
    *, name: str, robot_schema_id: str, robot_kind: str | None = None, calibration_id: str | None = None
) -> Ask[objects.Robot]:
    """Register one machine of a schema; `calibration_id` is the hash of its calibration file."""
    return create("/v1/robots", holds="id", name=name, robot_schema_id=robot_schema_id, robot_kind=robot_kind,
                  calibration_id=calibration_id)  # fmt: skip


def list_robots() -> Ask[objects.Robots]:
    """Every robot, and whether it is paired and online."""
    return get("/v1/robots", holds="robots")


def revoke_robot(robot_id: str) -> Ask[objects.Robot]:
    """Take a robot out of service: its key and its session end with it."""
    return post("/v1/robots/{}/revoke", robot_id, holds="id")


def create_pairing_token(robot_id: str, *, ttl_seconds: int | None = None) -> Ask[objects.PairingToken]:
    """Mint a token by which the robot fetches its own key, once."""
    return create("/v1/robots/{}/pairing-tokens", robot_id, holds="token", ttl_seconds=ttl_seconds)


def claim_pairing_token(token: str) -> Ask[objects.Claim]:
    """Exchange a pairing token for the robot's own key; needs no other key."""
    return create("/v1/pairing-tokens/claim", holds="key", needs_key=False, token=token)


def heartbeat_robot(robot_id: str, **report: Unpack[objects.Heartbeat]) -> Ask[objects.HeartbeatAnswer]:
    """Say that the robot lives, and how its session goes; the answer says which mode holds from now on."""
    fields: dict[str, Any] = dict(report)
    return post("/v1/robots/{}/heartbeat", robot_id, holds="robotId", **fields)


def list_receipts(
    *,
    deployment_id: str | None = None,
    session_id: str | None = None,
    robot_id: str | None = None,
    kind: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Ask[objects.Receipts]:
    """Receipts in their order, a page at a time: `nextAfter` of one is `after` of the next."""
    return get("/v1/receipts", holds="receipts", deployment_id=deployment_id, session_id=session_id,
               robot_id=robot_id, kind=kind, after=after, limit=limit)  # fmt: skip


def export_receipts() -> Ask[bytes]:
    """All receipts as a file of JSON lines, of which the first holds the keys that signed them."""
    return download("/v1/receipts/export")


def public_keys() -> Ask[objects.PublicKeys]:
    """The keys by which credentials and receipts are known to be this control plane's."""
    return get("/v1/keyset", holds="keys", needs_key=False)


def register_model(
    *, name: str, content_hash: str, config: Mapping[str, Any], source: str | None = None
) -> Ask[objects.Model]:
    """Register an exported policy: `config` is its reflex_config.json, `content_hash` that one's `policy_hash`."""
    return create("/v1/models", holds="id", name=name, content_hash=content_hash, config=config, source=source)


def list_models() -> Ask[objects.Models]:
    """Every model of the organisation."""
    return get("/v1/models", holds="models")


def revoke_model(model_id: str) -> Ask[objects.Model]:
    """Take a model out of service: sessions of it end."""
    return post("/v1/models/{}/revoke", model_id, holds="id")


def whoami() -> Ask[objects.WhoAmI]:
    """The key that is in use, and whose it is."""
    return get("/v1/whoami", holds="key")


def create_key(*, name: str, scopes: Sequence[str], expires_in_seconds: int | None = None) -> Ask[objects.IssuedKey]:
    """Make a key of some of your own scopes; the answer is the only place where it is shown."""
    return create("/v1/keys", holds="key", name=name, scopes=list(scopes), expires_in_seconds=expires_in_seconds)


def list_keys() -> Ask[objects.Keys]:
    """Every key of the organisation; never the secrets."""
    return get("/v1/keys", holds="keys")


def rotate_key(key_id: str, *, overlap_seconds: int = 3600) -> Ask[objects.IssuedKey]:
    """Make a key in place of one, which works on for a while."""
    return create("/v1/keys/{}/rotate", key_id, holds="key", overlap_seconds=overlap_seconds)


def revoke_key(key_id: str, *, reason: str | None = None) -> Ask[objects.Key]:
    """Take a key back; it stops working within a second."""
    return post("/v1/keys/{}/revoke", key_id, holds="id", reason=reason)


def start_device_login(*, client_name: str | None = None) -> Ask[objects.DeviceLogin]:
    """Begin a login that a person confirms on the dashboard."""
    return post("/v1/device/start", holds="deviceCode", needs_key=False, client_name=client_name)


def take_device_login(device_code: str) -> Ask[objects.LoggedIn]:
    """Take the key of a login; a `ServiceError` of code `login_pending` while nobody has confirmed it."""
    return post("/v1/device/token", holds="key", repeats=False, needs_key=False, device_code=device_code)


def cancel_device_login(device_code: str) -> Ask[objects.Withdrawn]:
    """Stop waiting for a login: nobody can confirm it any more."""
    return post("/v1/device/cancel", holds="withdrawn", needs_key=False, device_code=device_code)


def confirm_device_login(user_code: str, *, scopes: Sequence[str] | None = None) -> Ask[objects.Login]:
    """Let the machine that shows the code take a key; None is all of your scopes but for admin and promote."""
    chosen = None if scopes is None else list(scopes)
    return post("/v1/device/confirm", holds="userCode", repeats=False, user_code=user_code, scopes=chosen)


def refuse_device_login(user_code: str) -> Ask[objects.Login]:
    """Let the machine that shows the code take none."""
    return post("/v1/device/refuse", holds="userCode", repeats=False, user_code=user_code)


def _runtime(given: Runtime | None) -> Mapping[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {"actUrl" if name == "act_url" else name: value for name, value in given.items()}
    return {"actUrl": given if isinstance(given, str) else list(given)}
