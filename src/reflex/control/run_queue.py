"""`HttpRunQueue`: the queue of training runs, as a worker on any machine reaches it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from reflex.control.blocking import ControlClient
from reflex.control.texts import as_name, as_reason
from reflex.errors import TransportError
from reflex.printable import printable
from reflex.training.forms import claim_from_json
from reflex.training.port import (
    MAX_LINE_CHARACTERS,
    MAX_LINES_A_BEAT,
    MAX_METRICS_A_BEAT,
    MAX_OTHERS,
    ClaimedRun,
    Ending,
    Exported,
    LeaseLostError,
    Metric,
    Orders,
    Progress,
    WorkerFacts,
)
from reflex.training.request import MOST_CHARACTERS, MOST_STEPS

__all__ = ["HttpRunQueue"]

MOST_BYTES: Final = 256 * 1024
"""Of log lines in one request, and of metrics; the control plane takes bodies of 1 MiB."""

ThingT = TypeVar("ThingT")


class HttpRunQueue:
    """A `RunQueue`. What is too much for one request goes in several; what no terminal shows is escaped, and what the
    control plane takes in no form is left out: it would refuse the whole request, however often it is sent.
    """

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def claim(self, worker: WorkerFacts) -> ClaimedRun | None:
        """The oldest run that this worker can do; None while there is none."""
        told = self._client.claim_training_run(worker)["run"]
        try:
            return None if told is None else claim_from_json({**told})
        except (TypeError, KeyError, AttributeError) as exc:
            words = f"the control plane is of another version of Reflex: its claim cannot be read ({exc})"
            raise TransportError(words) from exc

    def beat(self, run_id: str, lease_id: str, progress: Progress) -> Orders:
        """Keep the lease, and tell how far the run is."""
        is_cancelled = False
        for piece in _pieces(progress):
            is_cancelled |= self._client.beat_training_run(run_id, lease_id, piece)["isCancelled"]
        return Orders(is_cancelled=is_cancelled)

    def end(self, run_id: str, lease_id: str, ending: Ending) -> None:
        """The run has ended; saying it again changes nothing."""
        ending = dataclasses.replace(
            ending, reason=as_reason(ending.reason), steps=_step(ending.steps), exported=_sayable(ending.exported)
        )  # fmt: skip
        *before, (first, lines) = _lines_in_pieces(ending.log, ending.first_line)
        for number, piece in before:
            progress = Progress(state="running", step=ending.steps, log=piece, first_line=number)
            try:
                self._client.beat_training_run(run_id, lease_id, progress)
            except LeaseLostError:
                break  # it may have ended by this very call, whose answer was lost
        self._client.end_training_run(run_id, lease_id, dataclasses.replace(ending, log=lines, first_line=first))


def _pieces(progress: Progress) -> Iterator[Progress]:
    """At least one."""
    progress = dataclasses.replace(progress, step=_step(progress.step))
    sayable = [_finite(metric) for metric in progress.metrics if metric.step == _step(metric.step)]
    metrics = list(_portions(sayable, MAX_METRICS_A_BEAT))
    lines = list(_lines_in_pieces(progress.log, progress.first_line))
    for number in range(max(len(lines), len(metrics))):
        first, log = lines[number] if number < len(lines) else (progress.first_line, ())
        some = metrics[number] if number < len(metrics) else ()
        yield dataclasses.replace(progress, metrics=some, log=log, first_line=first)


def _lines_in_pieces(lines: Sequence[str], first: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The number of the first line of each piece, and its lines; at least one piece."""
    for piece in _portions([_shown(line) for line in lines], MAX_LINES_A_BEAT):
        yield first, piece
        first += len(piece)


def _portions(things: Sequence[ThingT], most: int) -> Iterator[tuple[ThingT, ...]]:
    """At most so many things, and `MOST_BYTES` of JSON, in each; at least one portion."""
    portion: list[ThingT] = []
    size = 0
    for thing in things:
        length = len(json.dumps(thing, default=dataclasses.asdict))
        if portion and (size + length > MOST_BYTES or len(portion) == most):
            yield tuple(portion)
            portion, size = [], 0
        portion.append(thing)
        size += length
    yield tuple(portion)


def _shown(line: str) -> str:
    return printable(line.expandtabs(4))[:MAX_LINE_CHARACTERS]


def _step(step: int) -> int:
    """The nearest one that a run can have: a trainer's bar may show any number."""
    return min(max(step, 0), MOST_STEPS)


def _sayable(exported: Exported | None) -> Exported | None:
    """Its folder may have any name."""
    if exported is None:
        return None
    return dataclasses.replace(exported, repository=printable(exported.repository)[:MOST_CHARACTERS])


def _finite(metric: Metric) -> Metric:
    """JSON has no NaN."""
    names = ("loss", "grad_norm", "lr", "update_s", "data_s")
    given = {name: getattr(metric, name) for name in names}
    named = [(as_name(name), value) for name, value in metric.others.items() if math.isfinite(value)]
    others = dict([(name, value) for name, value in named if name is not None][:MAX_OTHERS])
    broken = {name: None for name, value in given.items() if value is not None and not math.isfinite(value)}
    return dataclasses.replace(metric, **broken, others=others)  # type: ignore[arg-type]
