"""The errors that stay inside the frontend; a client sees none of them.

ReflexError               reflex.errors
├── SetupError
│   └── ModelControlError Triton did not load or unload a model
├── TritonCallError       one call to Triton without an answer; told to the client as a ServiceError
├── Http2Error            what came from Triton's address is not what RFC 9113 allows
└── ClientGoneError       the client left before its request was whole
"""

from __future__ import annotations

from typing import Literal

from reflex.errors import ReflexError, SetupError

__all__ = ["ClientGoneError", "FailureKind", "Http2Error", "ModelControlError", "TritonCallError"]

FailureKind = Literal["lost", "busy", "unready", "model", "dead", "cancelled"]


class ModelControlError(SetupError):
    """Triton did not load or unload a model; the message is its own."""

    code = "model_control"


class TritonCallError(ReflexError):
    """One call without an answer.

    `lost`: the connection broke; `busy`: a queue in Triton is full; `unready`: Triton is loading or stopping; `model`:
    the model failed; `dead`: the process of a model is gone, and Triton starts no other; `cancelled`: we closed the
    connection, or gave up after `CALL_CAP_S`.
    """

    code = "triton_call"

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class Http2Error(ReflexError):
    """What came is not what RFC 9113 allows; the connection cannot go on, and its calls are lost."""

    code = "http_framing"


class ClientGoneError(ReflexError):
    """The client closed its connection before its request was whole; there is nobody to answer."""

    code = "client_gone"
