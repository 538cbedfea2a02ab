"""A session's credential: what the control plane lets one robot do for a while, in a form that a server checks alone.

    rfx_sess_ + base64url(claims as canonical JSON) + "." + base64url(signature of everything before the dot)

One credential has one text: with any byte altered it is refused. An error of this module repeats nothing of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, get_args

from reflex.errors import ReflexError
from reflex.signed.canonical import canonical_json, is_hash, parse_canonical
from reflex.signed.signing import Keyset, SigningKey, from_base64url, to_base64url

__all__ = ["PREFIX", "Claims", "CredentialError", "Mode", "Reason", "is_like_one", "issue", "read"]

PREFIX: Final = "rfx_sess_"
MAX_CHARACTERS: Final = 4096
SIGNATURE_BYTES: Final = 64
MAX_ID_CHARACTERS: Final = 256
MAX_MOMENT_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""

LOOKS: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

Mode = Literal["dry_run", "apply_actions"]
Reason = Literal["malformed", "unknown_key", "forged", "expired"]

WORDS: Final[dict[Reason, str]] = {
    "malformed": "this is no session credential; ask the control plane for one with `reflex sessions authorize`",
    "unknown_key": "the session credential names a signing key that is not in the keyset; is it of this control plane?",
    "forged": "the session credential was not signed by the key that it names; authorize a session anew",
    "expired": "the session credential has expired; a heartbeat renews it while its session lives",
}


class CredentialError(ReflexError):
    """A session credential that must not be accepted; `reason` says why."""

    code = "credential"

    def __init__(self, reason: Reason) -> None:
        super().__init__(WORDS[reason])
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a credential says. Hashes are `sha256:` and 64 digits, moments milliseconds since 1970.

    Raises `ValueError` for a value that no credential may have.
    """

    session_id: str
    organisation_id: str
    robot_id: str | None
    deployment_id: str | None
    model_hash: str
    """The content hash of the policy that may answer."""
    model_version: str
    mode: Mode
    calibration_id: str | None
    limits_hash: str | None
    """`RobotSchema.limits_hash` of the robot's schema."""
    issued_at_ms: int
    expires_at_ms: int
    """From this moment on it is refused."""
    key_id: str = ""
    """Which key signed; `issue` sets it."""

    def __post_init__(self) -> None:
        for name in ("session_id", "organisation_id", "model_version"):
            _check_id(name, getattr(self, name))
        for name in ("robot_id", "deployment_id", "calibration_id"):
            if getattr(self, name) is not None:
                _check_id(name, getattr(self, name))
        if not is_hash(self.model_hash) or not (self.limits_hash is None or is_hash(self.limits_hash)):
            raise ValueError("model_hash and limits_hash must be sha256: and 64 hexadecimal digits")
        if self.mode not in get_args(Mode):
            raise ValueError("mode must be dry_run or apply_actions")
        if not _is_moment(self.issued_at_ms) or not _is_moment(self.expires_at_ms):
            raise ValueError("issued_at_ms and expires_at_ms must be whole milliseconds since 1970")
        if self.issued_at_ms >= self.expires_at_ms:
            raise ValueError("a credential expires after it was issued")


WIRE_NAMES: Final = {
    "session_id": "sid",
    "organisation_id": "org",
    "robot_id": "robot",
    "deployment_id": "deployment",
    "model_hash": "model",
    "model_version": "modelVersion",
    "mode": "mode",
    "calibration_id": "calibration",
    "limits_hash": "limits",
    "issued_at_ms": "iat",
    "expires_at_ms": "exp",
    "key_id": "kid",
}


def is_like_one(text: str) -> bool:
    """Whether it has the outer form of a credential, so that it can go into a header."""
    return LOOKS.fullmatch(text) is not None and len(text) <= MAX_CHARACTERS


def issue(claims: Claims, key: SigningKey) -> str:
    """The credential of these claims, signed by `key`, whose id becomes their `key_id`."""
    claims = replace(claims, key_id=key.kid)
    wire = {WIRE_NAMES[each.name]: getattr(claims, each.name) for each in fields(claims)}
    signed = PREFIX + to_base64url(canonical_json(wire))
    return f"{signed}.{to_base64url(key.sign(signed.encode('ascii')))}"


def read(token: str, keyset: Keyset, now_ms: int) -> Claims:
    """What a credential says, once its signature and its end have been checked; `CredentialError` for any other."""
    signed, _, signature = token.partition(".")
    claims = _claims_in(token)
    if claims.key_id not in keyset.keys:
        raise CredentialError("unknown_key")
    if not keyset.verify(claims.key_id, signed.encode("ascii"), from_base64url(signature)):
        raise CredentialError("forged")
    ended_ms = keyset.keys[claims.key_id].not_after_ms
    if now_ms >= claims.expires_at_ms or (ended_ms is not None and now_ms > ended_ms):
        raise CredentialError("expired")
    return claims


def _claims_in(token: str) -> Claims:
    """What it says, whoever signed it."""
    signed, _, signature = token.partition(".")
    try:
        if not signed.startswith(PREFIX) or len(token) > MAX_CHARACTERS or not token.isascii():
            raise ValueError("not the form of a credential")
        if len(from_base64url(signature)) != SIGNATURE_BYTES:
            raise ValueError("not a signature of Ed25519")
        wire = parse_canonical(from_base64url(signed.removeprefix(PREFIX)))
        if set(wire) != set(WIRE_NAMES.values()):  # one that we do not know might be a condition
            raise ValueError("not the claims of a credential")
        return _from_wire(wire)
    except ValueError:
        raise CredentialError("malformed") from None


def _from_wire(wire: dict[str, object]) -> Claims:
    values: dict[str, Any] = {name: wire[short] for name, short in WIRE_NAMES.items()}
    _check_id("key_id", values["key_id"])
    return Claims(**values)


def _check_id(name: str, value: object) -> None:
    is_text = isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS
    if not is_text or not str(value).isprintable():
        raise ValueError(f"{name} must have 1 to {MAX_ID_CHARACTERS} printable characters")


def _is_moment(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MOMENT_MS
