"""A training run, followed: its log as it grows, and its end. A control plane that is away is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from reflex.control.blocking import ControlClient
from reflex.control.training_objects import TrainingLine, TrainingRun
from reflex.errors import ClientTimeoutError, ServiceError, TransportError
from reflex.training.states import ENDED

__all__ = ["Trouble", "log_lines", "wait_for_run"]

ASK_EVERY_S: Final = 0.5

AnswerT = TypeVar("AnswerT")
Sleep = Callable[[float], None]
Trouble = Callable[[str], None]
"""Is told once that the control plane does not answer."""


def _no_trouble(_words: str) -> None:
    pass


def log_lines(
    client: ControlClient, run_id: str, *, follow: bool = False, tell: Trouble = _no_trouble,
    sleep: Sleep = time.sleep,
) -> Iterator[TrainingLine]:  # fmt: skip
    """Every line that is kept; with `follow` those that come until the run has ended, too."""
    after = 0
    while True:
        page = _asked(lambda place=after: client.get_training_log(run_id, after=place), follow, tell, sleep)  # type: ignore[misc]
        yield from page["lines"]
        after = page["nextLine"]
        if page["isWhole"] or not (page["lines"] or follow):
            return
        if not page["lines"]:
            sleep(ASK_EVERY_S)


def wait_for_run(
    client: ControlClient, run_id: str, *, timeout_s: float | None = None,
    seen: Callable[[TrainingRun], None] = lambda _run: None, tell: Trouble = _no_trouble, sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingRun:  # fmt: skip
    """The run, once it has ended; `seen` sees it on the way. `ClientTimeoutError` when it takes longer."""
    ends_s = None if timeout_s is None else clock() + timeout_s
    while True:
        run = _asked(lambda: client.get_training_run(run_id), True, tell, sleep)  # noqa: FBT003
        seen(run)
        if run["state"] in ENDED:
            return run
        if ends_s is not None and clock() >= ends_s:
            raise ClientTimeoutError(f"{run_id} is {run['state']} after {timeout_s:g} s; it goes on, wait for it again")
        sleep(ASK_EVERY_S)


def _asked(ask: Callable[[], AnswerT], is_patient: bool, tell: Trouble, sleep: Sleep) -> AnswerT:  # noqa: FBT001
    is_told = False
    while True:
        try:
            return ask()
        except (TransportError, ServiceError) as exc:
            is_away = isinstance(exc, TransportError) or exc.retryable
            if not (is_patient and is_away):
                raise
            if not is_told:
                tell(f"{exc} Still waiting.")
            is_told = True
            sleep(ASK_EVERY_S)
