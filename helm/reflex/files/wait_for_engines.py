"""Wait until the engines of this pod's pool are built, then point the pod's repository to them.

The link is made once: what the pod serves does not change under it when a later build becomes current.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CURRENT: Final = "current"
POLL_S: Final = 1.0
REMIND_S: Final = 30.0

log = logging.getLogger("wait-for-engines")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 once the link is there; 1, and what to look at, when the engines have not come in time."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="wait_for_engines.py", description="Wait for a model repository's engines.")
    parser.add_argument("--shelf", type=Path, required=True, help="folder of the storage that the Job fills")
    parser.add_argument("--link", type=Path, required=True, help="becomes a link to the repository with the engines")
    parser.add_argument("--job", required=True, help="the Job's name, for the messages")
    parser.add_argument("--timeout", type=float, required=True, metavar="SECONDS")
    given = parser.parse_args(arguments)
    place = wait(given.shelf, given.job, given.timeout)
    if place is None:
        log.error("gave up: %s; see: kubectl logs job/%s", _missing(given.shelf), given.job)
        return 1
    given.link.unlink(missing_ok=True)
    given.link.symlink_to(place)
    log.info("serving %s", place)
    return 0


def wait(shelf: Path, job: str, timeout_s: float) -> Path | None:
    """The repository that is current; None when there is none in time."""
    deadline = time.monotonic() + timeout_s
    reminder = time.monotonic()
    while (place := current(shelf)) is None:
        now = time.monotonic()
        if now >= deadline:
            return None
        if now >= reminder:
            log.info("waiting for job/%s: %s (%.0f s left)", job, _missing(shelf), deadline - now)
            reminder = now + REMIND_S
        time.sleep(min(POLL_S, deadline - now))
    return place


def current(shelf: Path) -> Path | None:
    """What the shelf's pointer names, when both are there."""
    try:
        name = (shelf / CURRENT).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    place = shelf / name
    return place if name and place.is_dir() else None


def _missing(shelf: Path) -> str:
    return f"{shelf / CURRENT} names no finished engines"


if __name__ == "__main__":
    sys.exit(main())
