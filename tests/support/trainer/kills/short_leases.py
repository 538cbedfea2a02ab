"""`reflex` with leases of five seconds in place of sixty: what is lost goes back into the queue while one waits."""

from __future__ import annotations

from typing import Final

from reflex.cli import app
from reflex_control.moments import SECOND_MS
from reflex_control.training import queue

__all__ = ["LEASE_S"]

LEASE_S: Final = 5.0

if __name__ == "__main__":
    vars(queue).update(LEASE_S=LEASE_S, LEASE_MS=int(LEASE_S * SECOND_MS))
    app()
