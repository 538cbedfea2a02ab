"""What is used of LeRobot's reader of settings."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["decode"]


def decode(kind: Any, settings: dict[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(kind)}
    for name in settings:
        if name not in known:
            raise ValueError(f"The fields `{name}` are not valid for {kind.__name__}")
    return kind(**settings)
