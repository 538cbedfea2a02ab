"""An action chunk as text: one line of blocks per axis, each scaled to its own range."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from reflex.wire import ActResult
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex.embodiments import Embodiment

__all__ = ["MAX_PLOT_STEPS", "axis_labels", "chunk_lines", "sparkline", "summary_lines"]

MAX_PLOT_STEPS: Final = 50
FEWEST_PLOT_STEPS: Final = 8
"""A terminal narrower than this leaves room for wraps its lines."""
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_FLAT: Final = "▄"


def axis_labels(embodiment: Embodiment | None, count: int) -> list[str]:
    """`shoulder_pan (deg)` for each of `count` axes; their numbers where the embodiment is unknown or another one."""
    if embodiment is None or embodiment.action_dim != count:
        return [f"axis {index}" for index in range(count)]
    axes = zip(embodiment.action_names, embodiment.action_units, strict=True)
    return [f"{name} ({unit})" for name, unit in axes]


def chunk_lines(actions: Sequence[Sequence[float]], labels: Sequence[str], columns: int = 1000) -> list[str]:
    """One line per axis of `actions` [steps][axes]: its label, its course, its least and greatest value.

    The course has as many blocks as fit into `columns`.
    """
    axes = list(zip(*actions, strict=True))
    ranges = [f"{min(values):+.4g} .. {max(values):+.4g}" for values in axes]
    label_width = max(map(len, labels))
    room = columns - label_width - max(map(len, ranges)) - 2 * len("  ")
    most = max(FEWEST_PLOT_STEPS, min(MAX_PLOT_STEPS, room))
    return [
        f"{label:<{label_width}}  {sparkline(values, most)}  {span}"
        for label, values, span in zip(labels, axes, ranges, strict=True)
    ]


def sparkline(values: Sequence[float], most: int = MAX_PLOT_STEPS) -> str:
    """One block per value, lowest to highest; more than `most` values are averaged in groups."""
    points = _averaged(values, most)
    low, high = min(points), max(points)
    # Half before the difference: the span of two large finite numbers can itself be infinite.
    half_span = high / 2 - low / 2
    if half_span == 0:
        return _FLAT * len(points)
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((point / 2 - low / 2) / half_span * top)] for point in points)


def summary_lines(result: ActResult) -> list[str]:
    """Size, speed and what the guard did. Tolerates a server that leaves the additive fields out."""
    steps, axes = len(result["actions"]), len(result["actions"][0])
    size = f"{counted(steps, 'step')} x {counted(axes, 'axis', 'axes')}"
    return [
        f"{size}, {_denoising(result)}, {result.get('inference_mode', 'unknown mode')}",
        _latency_line(result),
        _guard_line(result),
        *_slot_lines(result),
    ]


def _denoising(result: ActResult) -> str:
    steps = result.get("denoising_steps", "?")
    return f"{steps} denoising {'step' if steps == 1 else 'steps'}"


def _latency_line(result: ActResult) -> str:
    total = f"{result.get('latency_ms', float('nan')):.1f} ms in the server"
    timing = result.get("timing")
    if not timing:
        return total
    parts = [f"{name.removesuffix('_ms')} {value:.1f}" for name, value in timing.items() if isinstance(value, float)]
    return f"{total} ({', '.join(parts)})"


def _guard_line(result: ActResult) -> str:
    violations = result.get("guard_violations", [])
    if not result.get("guard_clamped"):
        return "guard: nothing changed"
    axes = sorted({str(violation.get("name", violation.get("axis"))) for violation in violations})
    return f"guard: changed {counted(len(violations), 'value')} on {', '.join(axes)}"


def _slot_lines(result: ActResult) -> list[str]:
    """Only a server with two policies says which of them answered."""
    slot = result.get("policy_slot")
    if slot is None:
        return []
    aside = " (no episode named its slot, or that slot is out)" if result.get("routing_degraded") else ""
    return [f"slot {slot}: {result.get('model_version', 'unknown policy')}{aside}"]


def _averaged(values: Sequence[float], most: int) -> list[float]:
    count = min(len(values), most)
    bounds = [index * len(values) // count for index in range(count + 1)]
    groups = [values[start:end] for start, end in pairwise(bounds)]
    return [sum(value / len(group) for value in group) for group in groups]
