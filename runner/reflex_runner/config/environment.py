"""What the environment says of a run, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import SetupError

__all__ = ["Environment", "read_environment"]

NO_RECORD: Final = "REFLEX_NO_RECORD"
API_KEY: Final = "REFLEX_API_KEY"
SWITCHED_ON: Final = ("1", "true", "yes", "on")
SWITCHED_OFF: Final = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Environment:
    """REFLEX_NO_RECORD=1 records nothing; REFLEX_API_KEY is the key of a server that is asked without a session."""

    records: bool = True
    api_key: str | None = field(default=None, repr=False)


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Of this process, unless others are given; `SetupError` for a value that says neither yes nor no."""
    found = os.environ if variables is None else variables
    told = found.get(NO_RECORD, "").strip().lower()
    if told not in SWITCHED_ON + SWITCHED_OFF:
        raise SetupError(f"{NO_RECORD} is {told!r}; it is 1 to record nothing, or 0")
    return Environment(told not in SWITCHED_ON, found.get(API_KEY, "").strip() or None)
