"""The lines of JSON that `launcher` writes, and when they say that a training is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reflex.training.port import Metric

__all__ = ["Numbers"]

OURS: Final = frozenset({"loss", "grad_norm", "lr", "update_s", "dataloading_s", "samples_per_s"})
MOST_OTHERS: Final = 20
LONGEST_LINE: Final = 65_536
LOST_AFTER: Final = 2
"""Losses one after the other that are not finite; a single one may be an overflow that is passed over."""


class Numbers:
    """Takes bytes as they come, and gives a metric for each whole line."""

    def __init__(self) -> None:
        self.is_lost = False
        self._not_finite = 0
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[Metric]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        self._rest = self._rest[:LONGEST_LINE]
        for line in whole:
            metric = _metric(line)
            if metric is not None:
                self._count(metric)
                yield metric

    def _count(self, metric: Metric) -> None:
        self._not_finite = self._not_finite + 1 if metric.loss is None else 0
        self.is_lost = self.is_lost or self._not_finite >= LOST_AFTER


def _metric(line: bytes) -> Metric | None:
    """None for what the trainer's process wrote to the pipe that is no line of ours."""
    try:
        said = json.loads(line)
        step, values = said["step"], said["metrics"]
        if not isinstance(step, int) or not isinstance(values, Mapping):
            return None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    finite = {str(name): float(value) for name, value in values.items() if _is_number(value)}
    others = {name[:100]: value for name, value in finite.items() if name not in OURS}
    return Metric(
        step=step,
        loss=finite.get("loss"),
        grad_norm=finite.get("grad_norm"),
        lr=finite.get("lr"),
        update_s=finite.get("update_s"),
        data_s=finite.get("dataloading_s"),
        others=dict(list(others.items())[:MOST_OTHERS]),
    )


def _is_number(value: Any) -> bool:  # noqa: ANN401  # what stood in JSON
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
