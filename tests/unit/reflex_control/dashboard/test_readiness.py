"""A check that passed is worth something for fifteen minutes."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.signed.moments import iso_of
from reflex_control.dashboard.readiness import readiness
from reflex_control.sessions.promoting import DOCTOR_HOLDS_MS

NOON_MS = 1_780_000_000_000


def found(*, ready: bool, age_ms: int) -> dict[str, Any]:
    return {"ready": ready, "checkedAt": iso_of(NOON_MS - age_ms), "checks": []}


@pytest.mark.parametrize(
    ("doctor", "state"),
    [(None, "unchecked"), (found(ready=True, age_ms=0), "ready"), (found(ready=True, age_ms=DOCTOR_HOLDS_MS), "ready"),
     (found(ready=True, age_ms=DOCTOR_HOLDS_MS + 1), "stale"), (found(ready=False, age_ms=0), "not_ready")],
)  # fmt: skip
def test_what_a_check_is_worth(doctor: dict[str, Any] | None, state: str) -> None:
    assert readiness({"doctor": doctor}, NOON_MS) == state
