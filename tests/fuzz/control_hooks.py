"""What schemathesis does before each call of the control plane: it asks with a key, which it cannot make up."""

from __future__ import annotations

import os
from typing import Any

import schemathesis

__all__ = ["ask_with_the_key"]


@schemathesis.hook("before_call")
def ask_with_the_key(_context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    kept = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
    case.headers = {**kept, "Authorization": f"Bearer {os.environ['CONTROL_KEY']}"}
    kwargs.get("headers", {}).pop("Authorization", None)
