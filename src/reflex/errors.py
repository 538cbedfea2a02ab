"""Every error of Reflex, in one tree.

    ReflexError
    ├── SetupError                 this machine, an option or a file is wrong; the message says what to do
    │   ├── RepositoryError        a model repository that must not be served
    │   ├── LockHeldError          reflex.file_lock: another process holds what only one may
    │   └── TraceVersionError      reflex.traces.schema: a recording of another version
    ├── NonFiniteActionError       reflex.guard: a chunk with a NaN or an infinity; none of it may be executed
    ├── ActionShapeError           reflex.guard: actions that are no chunk of this embodiment
    ├── PreviousActionError        reflex.guard: a last action from which the limits cannot be kept
    ├── CredentialError            reflex.signed.session_credential: a session credential that must not be accepted
    ├── ReceiptError               reflex.signed.receipts: a file of receipts that was changed; says the first bad line
    ├── TransportError             the server could not be reached, or the connection broke
    │   └── ClientTimeoutError     no answer within the caller's own deadline
    └── ServiceError               one error answer of the HTTP contract: code, status, request_id
        ├── InvalidRequestError    400, 404, 405, 408, 409, 410, 413, 415, 422, 428: the request must change
        ├── UnauthorizedError      401, 403
        ├── RateLimitedError       429, with Retry-After
        ├── InferenceError         500: this request failed; the instance may be fine
        ├── UnavailableError       503: this instance should get no traffic now, with Retry-After
        └── DeadlineExceededError  504: the request's own deadline passed

The server raises a `ServiceError`, the client rebuilds the same one from the answer. A code's status lies in
`STATUS_OF` and nowhere else.

Each class has a `code`, by which scripts know it, and says whether it is raised at set-up (before anything is served or
published: put it right and start again) or at run time. The classes of the other packages hang below these; each is
drawn in its own module, or in the `errors` module of its package.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

__all__ = [
    "CONTROL_CODES",
    "NO_SUCH_ROUTE",
    "STATUS_OF",
    "ClientTimeoutError",
    "DeadlineExceededError",
    "InferenceError",
    "InvalidRequestError",
    "RateLimitedError",
    "ReflexError",
    "RepositoryError",
    "ServiceError",
    "SetupError",
    "TransportError",
    "UnauthorizedError",
    "UnavailableError",
    "When",
    "service_error",
]

When = Literal["set-up", "run time"]

STATUS_OF: Final[Mapping[str, int]] = {
    "invalid_json": 400,
    "invalid_msgpack": 400,
    "missing_field": 400,
    "wrong_type": 400,
    "invalid_image": 400,
    "image_too_large": 400,
    "not_finite": 400,
    "invalid_http": 400,
    "unauthorized": 401,
    "session_expired": 401,
    "forbidden": 403,
    "login_refused": 403,
    "session_mode": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "dataset_unvalidated": 409,
    "deployment_not_ready": 409,
    "idempotency_mismatch": 409,
    "lease_lost": 409,
    "robot_busy": 409,
    "superseded": 409,
    "wrong_state": 409,
    "login_ended": 410,
    "session_ended": 410,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "state_dim_mismatch": 422,
    "chunk_mismatch": 422,
    "image_required": 422,
    "unknown_camera": 422,
    "missing_camera": 422,
    "instruction_too_long": 422,
    "invalid_value": 422,
    "login_pending": 428,
    "rate_limited": 429,
    "inference_failed": 500,
    "non_finite_action": 500,
    "implausible_action": 500,
    "internal": 500,
    "warming_up": 503,
    "queue_full": 503,
    "slo_violation": 503,
    "circuit_open": 503,
    "draining": 503,
    "store_unavailable": 503,
    "deadline_exceeded": 504,
}

CONTROL_CODES: Final = frozenset(
    {"dataset_unvalidated", "deployment_not_ready", "idempotency_mismatch", "invalid_value", "lease_lost"}
    | {"login_ended", "login_pending", "login_refused", "robot_busy", "session_ended", "store_unavailable"}
    | {"wrong_state"}
)
"""Those that the control plane alone answers, and no server of policies."""

NO_SUCH_ROUTE: Final = "there is no such route; see /openapi.json"
"""What both servers say of a path that is none of theirs: whoever asked was meant for the other one."""


class ReflexError(Exception):
    """The root: `except ReflexError` catches everything that Reflex raises on purpose."""

    code: str = "reflex"
    """By which scripts know it: the `error` of a `--json` run and, for a `ServiceError`, of the HTTP answer."""
    raised: ClassVar[When] = "run time"


class SetupError(ReflexError):
    """Something on this machine is wrong. The message says how to put it right."""

    code = "setup"
    raised = "set-up"


class RepositoryError(SetupError):
    """A model repository that is incomplete, inconsistent or of an unknown schema; it must not be served."""

    code = "repository"


class TransportError(ReflexError):
    """The server could not be reached, or the connection broke before a whole answer came."""

    code = "unreachable"


class ClientTimeoutError(TransportError):
    """No answer came within the caller's own deadline; the connection was dropped, so a late answer is never read."""

    code = "client_timeout"


class ServiceError(ReflexError):
    """An error of the HTTP contract.

    `code` is one of `STATUS_OF` (a client may meet a newer one), `context` holds further fields of the answer,
    `retry_after_s` is set when the server knows when a retry is worth while. `status` is the code's own unless given.
    """

    code = "service"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS_OF[code] if status is None else status
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.context: Mapping[str, Any] = dict(context or {})

    def __reduce__(self) -> tuple[object, ...]:
        rebuild = functools.partial(
            type(self),
            status=self.status,
            request_id=self.request_id,
            retry_after_s=self.retry_after_s,
            context=dict(self.context),
        )
        return rebuild, (self.code, self.message)

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, elsewhere or here."""
        return self.status in (429, 503)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidRequestError(ServiceError):
    """The request is malformed, or wrong for this policy or embodiment; sending it again cannot help."""

    code = "invalid_request"


class UnauthorizedError(ServiceError):
    """No key or session, one that has ended, or one without the right."""

    code = "unauthorized"


class RateLimitedError(ServiceError):
    """This caller's own limit; wait `retry_after_s`."""

    code = "rate_limited"


class InferenceError(ServiceError):
    """This request failed inside the server; the instance may be fine."""

    code = "inference_failed"


class UnavailableError(ServiceError):
    """This instance should get no traffic now; wait `retry_after_s` or go elsewhere."""

    code = "unavailable"


class DeadlineExceededError(ServiceError):
    """The request's own deadline passed before its answer was there."""

    code = "deadline_exceeded"


_CLASS_OF_STATUS: Final[Mapping[int, type[ServiceError]]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    429: RateLimitedError,
    500: InferenceError,
    503: UnavailableError,
    504: DeadlineExceededError,
}


def service_error(
    code: str,
    message: str,
    *,
    status: int | None = None,
    request_id: str | None = None,
    retry_after_s: float | None = None,
    context: Mapping[str, Any] | None = None,
) -> ServiceError:
    """The subclass of `ServiceError` that belongs to the status; an unknown status picks its class by range."""
    final_status = STATUS_OF.get(code, 500) if status is None else status
    fallback = InvalidRequestError if final_status < 500 else InferenceError
    kind = _CLASS_OF_STATUS.get(final_status, fallback)
    return kind(code, message, status=final_status, request_id=request_id, retry_after_s=retry_after_s, context=context)
