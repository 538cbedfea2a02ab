"""A run as the page is told of it: one JSON object, made when somebody asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_runner.page.live_view import HISTORY_S, LiveView
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["told"]

MOST_POINTS: Final = 120
"""Of a line of the plot; there are no more pixels for them."""
EVENTS_SHOWN: Final = 12
CLAMPED_SHOWN: Final = 12
DIGITS: Final = 3


def told(view: LiveView) -> dict[str, Any]:
    """What the page shows now. Moments are seconds before (negative) or after now."""
    now = view.clock.now()
    tick, problems = view.last_tick, view.problems()
    return {
        "robot": view.robot.name,
        "mode": view.mode,
        "motion": "wait" if tick is None else tick.kind,
        "step": None if tick is None else tick.step,
        "tickAge": None if tick is None else _number(now - tick.at_s),
        "appliedSteps": view.applied_steps,
        "clampedSteps": view.clamped_steps,
        "latencyMs": _latency(tuple(view.answer_s)),
        "lateMs": _number(1000 * max((each.late_s for each in tuple(view.ticks)), default=0.0)),
        "cameras": dict.fromkeys(problems)
        | {name: _number(now - frame.captured_s) for name, frame in view.newest_frames().items()},
        "problems": dict(problems),
        "chunk": _chunk(view.chunk, now),
        "axes": _axes(view, now),
        "guard": [line for each in reversed(tuple(view.clamped)) for line in _clamped(each, now)][:CLAMPED_SHOWN],
        "events": [_event(each, now) for each in reversed(tuple(view.events))][:EVENTS_SHOWN],
    }


def _axes(view: LiveView, now: float) -> list[dict[str, Any]]:
    """A plot each: the range, the last seconds of what was measured and commanded, and what the chunk says."""
    robot, shown = view.robot, _thinned([tick for tick in tuple(view.ticks) if now - tick.at_s <= HISTORY_S])
    limits = zip(robot.action_names, robot.action_units, robot.action_low, robot.action_high, strict=True)
    return [
        {
            "name": name, "unit": unit, "low": low, "high": high,
            "measured": _line([(tick.at_s, tick.measured) for tick in shown], _state_axis(view, name), now),
            "command": _line([(tick.at_s, tick.command) for tick in shown], axis, now),
            "chunk": _planned(view.chunk, axis, now),
        }
        for axis, (name, unit, low, high) in enumerate(limits)
    ]  # fmt: skip


def _state_axis(view: LiveView, name: str) -> int | None:
    names = view.robot.state_names
    return names.index(name) if name in names else None


def _line(
    points: Sequence[tuple[float, npt.NDArray[np.float32] | None]], axis: int | None, now: float
) -> list[list[float | None]]:
    if axis is None:
        return []
    return [[_number(at_s - now), _number(float(values[axis]))] for at_s, values in points if values is not None]


def _planned(chunk: DatedChunk | None, axis: int, now: float) -> list[list[float | None]]:
    if chunk is None or axis >= chunk.actions.shape[1]:
        return []
    moments = chunk.captured_s - now + chunk.step_s * np.arange(len(chunk.actions))
    return [
        [_number(float(at)), _number(float(value))] for at, value in zip(moments, chunk.actions[:, axis], strict=True)
    ]


def _chunk(chunk: DatedChunk | None, now: float) -> dict[str, Any] | None:
    if chunk is None:
        return None
    return {"seq": chunk.seq, "age": _number(now - chunk.captured_s), "steps": len(chunk.actions)}


def _latency(answer_s: Sequence[float]) -> dict[str, float | None] | None:
    if not answer_s:
        return None
    half, most = np.percentile(answer_s, (50, 99))
    return {"last": _number(1000 * answer_s[-1]), "p50": _number(1000 * half), "p99": _number(1000 * most)}


def _clamped(tick: Tick, now: float) -> list[dict[str, Any]]:
    return [
        {
            "age": _number(now - tick.at_s), "step": tick.step, "axis": each.name, "kind": each.kind,
            "value": _number(each.value), "limit": _number(each.limit),
        }
        for each in tick.violations
    ]  # fmt: skip


def _event(event: Event, now: float) -> dict[str, Any]:
    return {"age": _number(now - event.at_s), "level": event.level, "code": event.code, "message": event.message}


def _thinned(ticks: list[Tick]) -> list[Tick]:
    """Evenly, and with the newest one."""
    stride = max(1, math.ceil(len(ticks) / MOST_POINTS))
    return ticks[::-1][::stride][::-1]


def _number(value: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return round(float(value), DIGITS) if math.isfinite(value) else None
