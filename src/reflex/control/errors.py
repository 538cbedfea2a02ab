"""Errors of the control plane, in words that say what to do next; they begin as the documents promise.

    SetupError
    └── MissingKeyError              no key was given, set or stored
    TransportError
    └── BackendUnreachableError      no answer of a control plane at this address
    UnauthorizedError
    ├── KeyRejectedError             401: the key is not one, or no more
    └── SessionInDryRunError         403 session_mode: the session was not promoted
    InvalidRequestError
    ├── DatasetUnvalidatedError      409 dataset_unvalidated: training needs a dataset that was validated
    ├── DeploymentNotReadyError      409 deployment_not_ready: each failed check stands in the message, with its fix
    └── SessionGoneError             410 session_ended, 401 session_expired: a session never returns to life

Every other answer of the control plane is the `ServiceError` that its status says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from reflex.client.http import IS_IT_RUNNING
from reflex.errors import (
    ClientTimeoutError,
    InvalidRequestError,
    ServiceError,
    SetupError,
    TransportError,
    UnauthorizedError,
)
from reflex.training.port import LeaseLostError

__all__ = [
    "BackendUnreachableError",
    "DatasetUnvalidatedError",
    "DeploymentNotReadyError",
    "KeyRejectedError",
    "MissingKeyError",
    "SessionGoneError",
    "SessionInDryRunError",
    "failed_checks",
    "in_words_of_the_control_plane",
    "of_another_server",
    "unreachable",
]


class MissingKeyError(SetupError):
    """No key in any of the three places where one is looked for."""

    code = "api_key_required"
    hint: ClassVar[str] = "run 'reflex login' or set REFLEX_API_KEY"

    def __init__(self, message: str = "API key is required. Run 'reflex login' or set REFLEX_API_KEY.") -> None:
        super().__init__(message)


class BackendUnreachableError(TransportError):
    """Nothing that is a control plane answered at the address."""

    code = "backend_unreachable"
    hint: ClassVar[str] = "start it with 'reflex control serve', or unset or fix --convex-url / REFLEX_CONVEX_URL"


class KeyRejectedError(UnauthorizedError):
    """The server knows no such key, or it was rotated, revoked, or has expired: it does not say which."""

    code = "key_rejected"
    hint: ClassVar[str] = "run 'reflex login' to fetch a fresh key"

    def __str__(self) -> str:
        return self.message


class SessionInDryRunError(UnauthorizedError):
    """What was asked for needs a session in apply_actions."""

    code = "session_mode"
    hint: ClassVar[str] = "promote it with 'reflex sessions promote SESSION_ID --to apply_actions'"

    def __str__(self) -> str:
        return self.message


class DatasetUnvalidatedError(InvalidRequestError):
    """Nobody has validated what the dataset holds now, or it was found invalid: `context["state"]` says which."""

    code = "dataset_unvalidated"
    hint: ClassVar[str] = "run 'reflex datasets validate DATASET_ID', and start the run again"

    def __str__(self) -> str:
        return self.message


class DeploymentNotReadyError(InvalidRequestError):
    """The doctor of the deployment found what keeps it from driving hardware; `context["checks"]` has all of it."""

    code = "deployment_not_ready"
    hint: ClassVar[str] = "fix each failed check, then run 'reflex doctor DEPLOYMENT_ID' again"

    def __str__(self) -> str:
        return self.message


class SessionGoneError(InvalidRequestError):
    """The session ended; another one has to be authorized."""

    code = "session_ended"
    hint: ClassVar[str] = "start a fresh session: 'reflex sessions authorize'"

    def __str__(self) -> str:
        return self.message


UNAUTHORIZED: Final = (
    "401 Unauthorized: the key was found but the server rejected it; most likely it was rotated or revoked. "
    "Run 'reflex login' to fetch a fresh key."
)
NOT_READY: Final = "Deployment not ready for apply_actions"
IN_DRY_RUN: Final = "Session is still in dry_run"
GONE: Final = "Session expired or already closed"


def unreachable(base_url: str, asked: str, deadline_s: float, error: TransportError) -> BackendUnreachableError:
    """The one error of a control plane that does not answer; `asked` is what it was asked for, as `GET /v1/whoami`."""
    found = f"no answer to {asked} within {deadline_s:g} s" if isinstance(error, ClientTimeoutError) else str(error)
    found = found.removesuffix(IS_IT_RUNNING)  # of a server of policies
    return BackendUnreachableError(
        f"Cannot reach the Reflex backend at {base_url}: {found.removeprefix(f'{base_url} ')}. "
        "Start it there with 'reflex control serve', or unset or fix --convex-url / REFLEX_CONVEX_URL."
    )


def of_another_server(base_url: str) -> BackendUnreachableError:
    """What answers at the address has none of the control plane's routes."""
    return BackendUnreachableError(
        f"Cannot reach the Reflex backend at {base_url}: what answers there is no control plane, but perhaps a "
        "server of policies. Fix --convex-url / REFLEX_CONVEX_URL: 'reflex control serve' says its own address."
    )


def in_words_of_the_control_plane(error: ServiceError, *, with_key: bool = True) -> ServiceError:
    """The same error, of the class of the table above where it has one there.

    A 401 rejects the key only where one was sent: else it is a pairing token's, and the control plane's words say so.
    """
    kind = _KIND_OF_CODE.get(error.code)
    if kind is None and error.status == 401 and with_key:
        kind = KeyRejectedError
    if kind is None:
        return error
    return kind(
        error.code,
        _WORDS_OF[kind](error),
        status=error.status,
        request_id=error.request_id,
        retry_after_s=error.retry_after_s,
        context=error.context,
    )


def _rejected(_error: ServiceError) -> str:
    return UNAUTHORIZED


def _in_dry_run(error: ServiceError) -> str:
    session_id = error.context.get("sessionId", "SESSION_ID")
    return f"{IN_DRY_RUN}: promote it with 'reflex sessions promote {session_id} --to apply_actions'."


def _gone(error: ServiceError) -> str:
    reason = error.context.get("reason")
    return f"{GONE}{f' ({reason})' if reason else ''}. Start a fresh session."


def _not_ready(error: ServiceError) -> str:
    lines = list(failed_checks(error.context.get("checks")))
    told = error.message.removeprefix(f"{NOT_READY}: ")
    return "\n".join([f"{NOT_READY}:", *lines]) if lines else f"{NOT_READY}: {told}"


def failed_checks(checks: object) -> Iterator[str]:
    """A line for each failed check of a doctor's report, with its fix."""
    for check in checks if isinstance(checks, list) else []:
        if isinstance(check, Mapping) and check.get("status") == "fail":
            fix = check.get("fix")
            yield f"  {check.get('id')}: {check.get('message')}{f' -> {fix}' if fix else ''}"


def _as_told(error: ServiceError) -> str:
    return error.message


_KIND_OF_CODE: Final[Mapping[str, type[ServiceError]]] = {
    "dataset_unvalidated": DatasetUnvalidatedError,
    "deployment_not_ready": DeploymentNotReadyError,
    "lease_lost": LeaseLostError,
    "session_ended": SessionGoneError,
    "session_expired": SessionGoneError,
    "session_mode": SessionInDryRunError,
}
_WORDS_OF: Final[Mapping[type[ServiceError], Any]] = {
    DatasetUnvalidatedError: _as_told,
    DeploymentNotReadyError: _not_ready,
    KeyRejectedError: _rejected,
    LeaseLostError: _as_told,
    SessionGoneError: _gone,
    SessionInDryRunError: _in_dry_run,
}
