"""Flow matching's Euler loop, unrolled: noise at t = 1 to actions at t = 0, with real-time chunking.

Real-time chunking pulls the chunk towards the previous one where that is still being executed:
    x1 = x - t v,  err = (previous - x1) * weights,  v' = v - min(gain(t), maximum) * err
Weights of zero make err zero and v' = v exactly. The reference's vector-Jacobian product is the identity, so no
gradient is needed.

How much the policy's own velocity still changes from step to step tells how many steps the chunk needs:
    change[k] = |v[k] - v[k-1]| / |v[k]|,  change[0] = 0
over the real action channels of the actions that are denoised; |.| is the root of the sum of squares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from reflex_export.graph.graph import GraphBuilder

__all__ = ["EulerTrace", "Guidance", "euler_loop", "guidance_inputs", "tap_outputs", "velocity_output"]

Velocity = Callable[[ir.Value, int], ir.Value]
"""v(x, step) [B, T, A], FP32."""
LEAST_SQUARE = 1e-30
"""A velocity of zero changes by nothing: no quotient is infinite."""


@dataclass(frozen=True)
class Guidance:
    """The inputs of real-time chunking."""

    previous: ir.Value
    """[B, T, A]: what is left of the previous chunk, normalised; zeros where there is nothing."""
    weights: ir.Value
    """[B, T]: how much each action of it counts, 1 to 0."""
    maximum: ir.Value
    """[B, 1]: the largest guidance weight."""


@dataclass
class EulerTrace:
    """The values of each step, for parity checks; `final` is the normalised chunk with its padding channels."""

    final: ir.Value
    x: list[ir.Value] = field(default_factory=list)
    velocity: list[ir.Value] = field(default_factory=list)
    guided: list[ir.Value] = field(default_factory=list)
    after: list[ir.Value] = field(default_factory=list)
    given: ir.Value | None = None
    """[B, T, 1] BOOL: actions that are given and not denoised, whose velocity moves nothing."""


def guidance_inputs(g: GraphBuilder, horizon: int, width: int) -> Guidance:
    """Declare prev_chunk [T, A], rtc_weights [T] and rtc_max_guidance [1]."""
    previous = g.input("prev_chunk", "FP32", (horizon, width))
    return Guidance(previous, g.input("rtc_weights", "FP32", (horizon,)), g.input("rtc_max_guidance", "FP32", (1,)))


def euler_loop(
    g: GraphBuilder, noise: ir.Value, steps: int, velocity: Velocity, guidance: Guidance | None = None
) -> EulerTrace:
    """`steps` steps of -1/steps each, from t = 1."""
    trace = EulerTrace(noise)
    step_size = -1.0 / steps
    times = [1.0 + step * step_size for step in range(steps)]
    pulls = () if guidance is None else _pulls(g, guidance, times)
    for step in range(steps):
        x = trace.final
        v = velocity(x, step)
        guided = v if guidance is None else _guided(g, x, v, times[step], guidance.previous, pulls[step])
        trace.final = g.op("Add", x, g.op("Mul", guided, g.constant(step_size)))
        trace.x.append(x)
        trace.velocity.append(v)
        trace.guided.append(guided)
        trace.after.append(trace.final)
    return trace


def tap_outputs(g: GraphBuilder, trace: EulerTrace, horizon: int, width: int) -> None:
    """Declare tap.x_t, tap.v_t, tap.v_t_guided and tap.x_after_step, each [steps, T, A]."""
    named = {"x_t": trace.x, "v_t": trace.velocity, "v_t_guided": trace.guided, "x_after_step": trace.after}
    for name, values in named.items():
        g.output(_stack(g, values), f"tap.{name}", "FP32", (len(values), horizon, width))


def velocity_output(g: GraphBuilder, trace: EulerTrace, action_dim: int) -> None:
    """Declare velocity_change FP32 [steps]: of the policy's velocity, before guidance."""
    now = _real(g, trace, trace.velocity, action_dim)
    before = _one_step_back(g, now) if len(trace.velocity) > 1 else now
    change, size = _squares(g, g.op("Sub", now, before)), _squares(g, now)
    share = g.op("Div", change, g.op("Max", size, g.constant(LEAST_SQUARE)))
    g.output(g.op("Sqrt", share), "velocity_change", "FP32", (len(trace.velocity),))


def _real(g: GraphBuilder, trace: EulerTrace, velocities: Sequence[ir.Value], action_dim: int) -> ir.Value:
    """[B, steps, T, action_dim]: without padding channels, zero where an action is given."""
    real = g.op("Slice", _stack(g, velocities), g.ints(0), g.ints(action_dim), g.ints(3))
    return (
        real if trace.given is None else g.op("Where", g.op("Unsqueeze", trace.given, g.ints(1)), g.constant(0.0), real)
    )


def _one_step_back(g: GraphBuilder, values: ir.Value) -> ir.Value:
    """[B, steps, ..]: each step has what the one before it had, the first its own."""
    first, others = (g.op("Slice", values, g.ints(0), g.ints(end), g.ints(1)) for end in (1, -1))
    return g.op("Concat", first, others, axis=1)


def _squares(g: GraphBuilder, values: ir.Value) -> ir.Value:
    """[B, steps]: the sum of the squares."""
    return g.op("ReduceSum", g.op("Mul", values, values), g.ints(2, 3), keepdims=0)


def _stack(g: GraphBuilder, values: Sequence[ir.Value]) -> ir.Value:
    return g.op("Concat", *[g.op("Unsqueeze", value, g.ints(1)) for value in values], axis=1)


def _guided(g: GraphBuilder, x: ir.Value, v: ir.Value, time: float, previous: ir.Value, pull: ir.Value) -> ir.Value:
    landing = g.op("Sub", x, g.op("Mul", v, g.constant(time)))
    return g.op("Sub", v, g.op("Mul", g.op("Sub", previous, landing), pull))


def _pulls(g: GraphBuilder, guidance: Guidance, times: Sequence[float]) -> tuple[ir.Value, ...]:
    """By step, [B, T, 1]: the weights times the step's guidance weight, which is `maximum` at most."""
    gains = g.constant(np.array([[[_gain(time) for time in times]]], np.float32))
    limited = g.op("Min", g.op("Unsqueeze", guidance.maximum, g.ints(2)), gains)
    pulls = g.op("Mul", g.op("Unsqueeze", guidance.weights, g.ints(2)), limited)
    return g.op_n("Split", len(times), pulls, axis=2, num_outputs=len(times)) if len(times) > 1 else (pulls,)


def _gain(time: float) -> float:
    """t / (1 - t) * (t^2 + (1 - t)^2) / t^2; at t = 1 more than any maximum."""
    if time >= 1.0:
        return float(np.finfo(np.float32).max)
    return time / (1.0 - time) * (time**2 + (1.0 - time) ** 2) / time**2
