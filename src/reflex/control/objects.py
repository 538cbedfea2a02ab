"""What the control plane answers with: its JSON objects, field by field. Moments are ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import TypedDict

__all__ = [
    "Claim",
    "Deployment",
    "Deployments",
    "DeviceLogin",
    "DoctorCheck",
    "DoctorReport",
    "Grant",
    "Heartbeat",
    "HeartbeatAnswer",
    "IssuedKey",
    "Key",
    "Keys",
    "LoggedIn",
    "Login",
    "Mode",
    "Model",
    "Models",
    "Organisation",
    "PairingToken",
    "PublicKeys",
    "Receipt",
    "Receipts",
    "RegisteredSchema",
    "RegisteredSchemas",
    "Robot",
    "Robots",
    "Session",
    "SessionStatus",
    "Sessions",
    "WhoAmI",
    "Withdrawn",
]

Mode = Literal["dry_run", "apply_actions"]
SessionStatus = Literal["dry_run", "apply_actions", "closed", "expired"]


class Organisation(TypedDict):
    id: str
    name: str


class Key(TypedDict):
    id: str
    name: str
    scopes: list[str]
    kind: Literal["operator", "robot"]
    robotId: str | None
    createdAt: str
    expiresAt: str | None
    revokedAt: str | None
    lastUsedAt: str | None


class IssuedKey(Key):
    """`key` is the secret, which is shown this once."""

    key: str


class Keys(TypedDict):
    keys: list[Key]


class WhoAmI(TypedDict):
    organisation: Organisation
    key: Key


class Model(TypedDict):
    id: str
    name: str
    contentHash: str
    modelVersion: str
    family: str | None
    embodiment: str | None
    trained: bool | None
    precision: str | None
    parity: Any
    config: Mapping[str, Any]
    source: str | None
    createdAt: str
    revokedAt: str | None


class Models(TypedDict):
    models: list[Model]


class RegisteredSchema(TypedDict):
    id: str
    name: str
    robotKind: str | None
    schema: Mapping[str, Any]
    limitsHash: str
    simulation: bool
    createdAt: str


class RegisteredSchemas(TypedDict):
    robotSchemas: list[RegisteredSchema]


class Robot(TypedDict):
    id: str
    name: str
    robotSchemaId: str
    robotKind: str | None
    calibrationId: str | None
    paired: bool
    online: bool
    lastHeartbeatAt: str | None
    createdAt: str
    revokedAt: str | None
    sessionId: str | None


class Robots(TypedDict):
    robots: list[Robot]


class PairingToken(TypedDict):
    """`token` is shown this once, and claimed once."""

    id: str
    robotId: str
    token: str
    expiresAt: str


class Claim(TypedDict):
    """`key` is the robot's own key, which is shown this once."""

    robotId: str
    robotName: str
    robotSchemaId: str
    keyId: str
    key: str
    organisationId: str


class Heartbeat(TypedDict, total=False):
    """What a robot reports beside its id. The counts are those of the session, since it began."""

    session_id: str | None
    deployment_id: str | None
    mode: Mode | None
    steps: int | None
    applied_steps: int | None
    safe_stops: int | None
    guard_violations: int | None
    refused_chunks: int | None
    calibration_id: str | None
    latency_ms: float | None
    sent_at: str | None


class DoctorCheck(TypedDict):
    id: str
    status: Literal["pass", "fail", "warn", "skip"]
    message: str
    fix: str | None


class DoctorReport(TypedDict):
    deploymentId: str
    ready: bool
    checkedAt: str
    checks: list[DoctorCheck]


class Deployment(TypedDict):
    id: str
    name: str
    modelId: str
    robotSchemaId: str | None
    runtime: Mapping[str, Any] | None
    mode: Mode
    spec: Mapping[str, Any] | None
    doctor: DoctorReport | None
    createdAt: str


class Deployments(TypedDict):
    deployments: list[Deployment]


class Grant(TypedDict):
    """Leave to drive a robot: `credential` goes to the frontend with every request until it is renewed."""

    sessionId: str
    credential: str
    credentialExpiresAt: str
    expiresAt: str
    actUrl: str | list[str] | None
    mode: Mode
    deploymentId: str
    robotId: str | None
    modelVersion: str
    heartbeatSeconds: float


class Session(TypedDict):
    id: str
    deploymentId: str
    robotId: str | None
    mode: Mode
    status: SessionStatus
    clientSessionId: str | None
    createdAt: str
    promotedAt: str | None
    expiresAt: str
    lastHeartbeatAt: str | None
    endedAt: str | None
    reason: str | None
    steps: int
    appliedSteps: int
    safeStops: int
    guardViolations: int
    modelVersion: str


class Sessions(TypedDict):
    """`nextAfter` asks for the next page; None when there is none."""

    sessions: list[Session]
    nextAfter: str | None


class HeartbeatAnswer(TypedDict):
    """The `mode` that holds from now on, and the renewed credential where the session lives."""

    robotId: str
    receivedAt: str
    serverTime: str
    session: Session | None
    mode: Mode
    credential: str | None
    credentialExpiresAt: str | None


class Receipt(TypedDict):
    """One signed line of what happened; `reflex.receipts` checks it."""

    id: str
    seq: int
    timestamp: str
    kind: str
    organisation: str
    actor: Mapping[str, Any] | None
    deploymentId: str | None
    sessionId: str | None
    robotId: str | None
    modelVersion: str | None
    calibrationId: str | None
    limitsHash: str | None
    mode: str | None
    steps: int | None
    appliedSteps: int | None
    safeStops: int | None
    guardViolations: int | None
    reason: str | None
    prevHash: str
    hash: str
    signature: str
    keyId: str


class Receipts(TypedDict):
    """`nextAfter` asks for the next page; None when there is none."""

    receipts: list[Receipt]
    nextAfter: int | None


class PublicKeys(TypedDict):
    keys: list[Mapping[str, Any]]


class DeviceLogin(TypedDict):
    """A login that a person confirms elsewhere: shown are `userCode` and `verificationUrl`."""

    deviceCode: str
    userCode: str
    verificationUrl: str
    expiresAt: str
    intervalSeconds: float


class LoggedIn(TypedDict):
    """`key` is told once."""

    key: str
    keyId: str
    organisationId: str
    scopes: list[str]


class Login(TypedDict):
    """A login as an admin sees it who confirms or refuses it; `clientName` is what the machine calls itself."""

    id: str
    userCode: str
    clientName: str | None
    createdAt: str
    expiresAt: str
    scopes: list[str]
    status: Literal["waiting", "confirmed", "refused"]


class Withdrawn(TypedDict):
    withdrawn: bool
