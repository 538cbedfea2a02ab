"""A worker: it claims one run after the other, and works on it; of one data folder there is one."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reflex.durable_files import replace_file
from reflex.errors import RateLimitedError, ReflexError, TransportError, UnavailableError
from reflex.file_lock import file_lock
from reflex.processes.family import Family
from reflex.processes.guardian import end_all
from reflex.training.port import ClaimedRun, Ending, RunQueue, WorkerFacts
from reflex_learning.training.keeping import collect
from reflex_learning.training.running import Place, work_on

__all__ = ["run_worker", "worker_id"]

logger = logging.getLogger("reflex.training")

ASKS_EVERY_S: Final = 2.0
ADVICE: Final = "end it, or give this one a data folder of its own with --data"


def run_worker(
    queue: RunQueue,
    facts: WorkerFacts,
    place: Place,
    *,
    once: bool = False,
    told: Callable[[ClaimedRun | Ending | None], None] = lambda _: None,
) -> Ending | None:
    """Work until interrupted; with `once` until one run has ended, or there is none. `told` hears of each run."""
    with file_lock(place.folder / "worker.lock", "another worker", advice=ADVICE):
        family = _family_of(place.folder)
        family.watch()
        try:
            collect(place.runs, place.kept_bytes, place.has_ended)
            while True:
                run = _claim(queue, facts, once=once)
                if run is not None:
                    told(run)
                    ending = work_on(run, queue, place, family)
                    told(ending)
                    collect(place.runs, place.kept_bytes, place.has_ended)
                if once:
                    return ending if run is not None else None
                if run is None:
                    place.pace.sleep(ASKS_EVERY_S)
        finally:
            family.end()


def worker_id(folder: Path) -> str:
    """The same for as long as the folder is there."""
    file = folder / "worker.id"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(file, uuid.uuid4().hex.encode())
    return file.read_text().strip()


def _claim(queue: RunQueue, facts: WorkerFacts, *, once: bool) -> ClaimedRun | None:
    """None while there is no run, or the queue cannot be asked; what it refuses for good is raised."""
    try:
        return queue.claim(facts)
    except ReflexError as exc:
        if once or not _passes(exc):
            raise
        logger.warning("the queue cannot be asked: %s", exc)
        return None


def _passes(error: ReflexError) -> bool:
    return isinstance(error, TransportError | UnavailableError | RateLimitedError)


def _family_of(folder: Path) -> Family:
    """Of whose processes none is left: a worker and its guardian may have been killed together."""
    file = folder / "worker.mark"
    if file.is_file() and (old := file.read_text().strip()):
        end_all(old, frozenset(), 0.0)
    family = Family()
    replace_file(file, family.mark.encode())
    return family
