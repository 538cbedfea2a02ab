"""An action chunk as text: one line of blocks per axis, each scaled to its own range."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from reflex.wire import ActResult

__all__ = ["MAX_PLOT_STEPS", "chunk_lines", "sparkline", "summary_lines"]

MAX_PLOT_STEPS: Final = 50
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_FLAT: Final = "▄"


def chunk_lines(actions: Sequence[Sequence[float]]) -> list[str]:
    """One line per axis of `actions` [steps][axes]: its index, its course, its least and greatest value."""
    axes = list(zip(*actions, strict=True))
    label_width = len(f"axis {len(axes) - 1}")
    return [
        f"{f'axis {index}':<{label_width}}  {sparkline(values)}  {min(values):+.4g} .. {max(values):+.4g}"
        for index, values in enumerate(axes)
    ]


def sparkline(values: Sequence[float]) -> str:
    """One block per value, lowest to highest; more than `MAX_PLOT_STEPS` values are averaged in groups."""
    points = _averaged(values, MAX_PLOT_STEPS)
    low, high = min(points), max(points)
    # Half before the difference: the span of two large finite numbers can itself be infinite.
    half_span = high / 2 - low / 2
    if half_span == 0:
        return _FLAT * len(points)
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((point / 2 - low / 2) / half_span * top)] for point in points)


def summary_lines(result: ActResult) -> list[str]:
    """Size, speed and what the guard did. Tolerates a server that leaves the additive fields out."""
    size = f"{len(result['actions'])} steps x {len(result['actions'][0])} axes"
    return [
        f"{size}, {result.get('denoising_steps', '?')} denoising steps, {result.get('inference_mode', 'unknown mode')}",
        _latency_line(result),
        _guard_line(result),
        *_slot_lines(result),
    ]


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
    return f"guard: changed {len(violations)} values on {', '.join(axes)}"


def _slot_lines(result: ActResult) -> list[str]:
    """Only a server with two policies says which of them answered."""
    slot = result.get("policy_slot")
    return [] if slot is None else [f"slot {slot}: {result.get('model_version', 'unknown policy')}"]


def _averaged(values: Sequence[float], most: int) -> list[float]:
    count = min(len(values), most)
    bounds = [index * len(values) // count for index in range(count + 1)]
    groups = [values[start:end] for start, end in pairwise(bounds)]
    return [sum(value / len(group) for value in group) for group in groups]
