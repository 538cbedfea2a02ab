"""The environment variables of all our commands, so that each knows what is meant for another, and what is a slip."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["CONTROL_VARIABLES", "OTHER_VARIABLES", "slips"]

CONTROL_VARIABLES: Final = frozenset(
    {
        "REFLEX_CONTROL_ALLOWED_HOSTS",
        "REFLEX_CONTROL_DATA",
        "REFLEX_CONTROL_DB",
        "REFLEX_CONTROL_FIRST_KEY",
        "REFLEX_CONTROL_HOST",
        "REFLEX_CONTROL_JSON_LOGS",
        "REFLEX_CONTROL_PORT",
        "REFLEX_CONTROL_PUBLIC_RATE_LIMIT",
        "REFLEX_CONTROL_PUBLIC_URL",
        "REFLEX_CONTROL_RATE_LIMIT",
        "REFLEX_CONTROL_TRUSTED_PROXIES",
    }
)
"""Of `reflex control`."""
OTHER_VARIABLES: Final = frozenset(
    {
        "REFLEX_API_KEY",
        "REFLEX_BACKEND_URL",
        "REFLEX_CONFIG_DIR",
        "REFLEX_CONFIG_FILE",
        "REFLEX_CONNECT_RETRY_SECONDS",
        "REFLEX_CONVEX_URL",
        "REFLEX_CUDA_MASKS",
        "REFLEX_NO_RECORD",
        "REFLEX_ONNX_CACHE",
        "REFLEX_ONNX_CARD",
        "REFLEX_ONNX_DEVICE",
        "REFLEX_ONNX_GPU",
        "REFLEX_ONNX_THREADS",
        "REFLEX_SO101_PORT",
    }
)
"""Of the commands that ask a server or run a robot, and of Triton's processes."""


def slips(environment: Mapping[str, str], prefix: str, known: frozenset[str] | set[str], command: str) -> Iterator[str]:
    """A sentence for each variable of the prefix that is not known, and never its value: it would go unnoticed."""
    for name in sorted(environment):
        if name.startswith(prefix) and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
            meant = f"; did you mean {near[0]}?" if near else ""
            yield f"{name} is no setting of `{command}` and has no effect{meant}"
