"""pi0.5: the state is part of the prompt, and the time modulates every norm of the expert (adaRMS).

The modulation depends on the step alone, so it is computed here, once per step and norm, and the graph has constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.euler import EulerTrace, euler_loop, guidance_inputs
from reflex_export.blocks.flow import euler_times, sinusoidal_embedding
from reflex_export.blocks.gemma import Gate, GemmaStack, Modulation, Norm, modulated_norm
from reflex_export.blocks.operators import dense, rows
from reflex_export.checkpoint import Checkpoint
from reflex_export.configs.pi import PiConfig
from reflex_export.families.common import Arithmetic, FamilyGraphs, config_of
from reflex_export.families.paligemma import PaliGemma, read_paligemma
from reflex_export.families.paligemma_denoise import Attended, attended_prefix, build_answer, run_expert, velocity_of
from reflex_export.families.paligemma_encoder import build_encoder
from reflex_export.graph.graph import Array, GraphBuilder, OnnxModel

__all__ = ["build"]

_PARTS: Final = ("scale", "shift", "gate")
"""What a norm's `dense` gives, in this order."""


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int], precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """The policy's graphs, one denoise graph per step count; no graph takes the state unless actions are relative.

    A checkpoint that was trained for real-time chunking (`rtc_training_max_delay`) keeps the actions whose rtc_weights
    are over 0.5 as they are in prev_chunk, and has no rtc_max_guidance. `CheckpointError` names what the graphs would
    not compute.
    """
    p = read_paligemma(checkpoint, precision)
    return FamilyGraphs(
        preprocess=p.preprocess(),
        encoder=build_encoder(p, taps=taps, with_state=False),
        denoise={count: _build_denoise(p, count, taps=taps) for count in steps},
        counted=partial(_build_denoise, p, taps=taps, counted=True),
    )


def _build_denoise(p: PaliGemma, steps: int, *, taps: bool, counted: bool = False) -> OnnxModel:
    g = p.graph("denoise")
    attended = attended_prefix(g, p, leading_tokens=0, counted=counted)
    noise = g.input("noise", "FP32", (p.horizon, p.action_channels))
    if config_of(p.checkpoint, PiConfig).rtc_training_max_delay:
        trace = _trained_loop(g, p, noise, steps, attended)
    else:
        trace = _guided_loop(g, p, noise, steps, attended)
    return build_answer(g, p, trace, taps=taps)


def _guided_loop(g: GraphBuilder, p: PaliGemma, noise: ir.Value, steps: int, attended: Attended) -> EulerTrace:
    guidance = guidance_inputs(g, p.horizon, p.action_channels)
    modulations = _modulations(g, p, euler_times(steps))

    def velocity(x: ir.Value, step: int) -> ir.Value:
        def norm(g: GraphBuilder, stack: GemmaStack, hidden: ir.Value, name: str) -> tuple[ir.Value, Gate]:
            parts = [g.constant(part[step]) for part in modulations[name]]
            return modulated_norm(g, stack, hidden, _modulation(parts, of_each_token=False))

        return _velocity(g, p, x, attended, norm)

    return euler_loop(g, noise, steps, velocity, guidance)


def _trained_loop(g: GraphBuilder, p: PaliGemma, noise: ir.Value, steps: int, attended: Attended) -> EulerTrace:
    """Actions that are already being executed are given: they stay, at time 0, while the others are denoised."""
    previous = g.input("prev_chunk", "FP32", (p.horizon, p.action_channels))
    weights = g.input("rtc_weights", "FP32", (p.horizon,))
    given = g.op("Unsqueeze", g.op("Greater", weights, g.constant(0.5)), g.ints(2))
    given_rows = rows(g, given, 1)
    modulations = _modulations(g, p, np.append(euler_times(steps), np.float32(0.0)))

    def velocity(x: ir.Value, step: int) -> ir.Value:
        def norm(g: GraphBuilder, stack: GemmaStack, hidden: ir.Value, name: str) -> tuple[ir.Value, Gate]:
            pairs = [(g.constant(part[-1]), g.constant(part[step])) for part in modulations[name]]
            parts = [g.op("Where", given_rows, *pair) for pair in pairs]
            return modulated_norm(g, stack, hidden, _modulation(parts, of_each_token=True))

        return _velocity(g, p, x, attended, norm)

    trace = EulerTrace(g.op("Where", given, previous, noise), given=given)
    for step in range(steps):
        x = trace.final
        v = velocity(x, step)
        stepped = g.op("Add", x, g.op("Mul", v, g.constant(-1.0 / steps)))
        trace.final = g.op("Where", given, previous, stepped)
        trace.x.append(x)
        trace.velocity.append(v)
        trace.guided.append(v)
        trace.after.append(trace.final)
    return trace


def _velocity(g: GraphBuilder, p: PaliGemma, x: ir.Value, attended: Attended, norm: Norm) -> ir.Value:
    channels, name = rows(g, x, p.action_channels), f"{p.root}action_in_proj"
    embedded = dense(g, channels, name, bias=True, factor=p.stream, datatype="FP32")
    normed, _ = run_expert(g, p, embedded, attended, norm)
    return velocity_of(g, p, normed)


def _modulation(parts: Sequence[ir.Value], *, of_each_token: bool) -> Modulation:
    return Modulation(parts[0], parts[1], parts[2] if len(parts) == len(_PARTS) else None, of_each_token)


def _modulations(g: GraphBuilder, p: PaliGemma, times: Array) -> Mapping[str, Array]:
    """By norm: 1 + scale, shift and gate, [3, times, W] float32; nobody reads the last norm's gate."""
    embedding = sinusoidal_embedding(times, p.expert.width, *p.periods)
    inner = _silu(_linear(g, embedding, p.either("time_mlp_in", "action_time_mlp_in")))
    condition = _silu(_linear(g, inner, p.either("time_mlp_out", "action_time_mlp_out")))
    names = [
        f"{p.expert.layer(index)}.{norm}"
        for index in range(p.expert.layers)
        for norm in ("input_layernorm", "post_attention_layernorm")
    ]
    last = p.expert.last_norm
    return {name: _scale_shift_gate(g, condition, name) for name in names} | {
        last: _scale_shift_gate(g, condition, last)[:2]
    }


def _scale_shift_gate(g: GraphBuilder, condition: Array, norm: str) -> Array:
    parts: Array = np.stack(np.split(_linear(g, condition, f"{norm}.dense"), len(_PARTS), axis=-1))
    parts[0] += np.float32(1.0)
    return parts


def _linear(g: GraphBuilder, x: Array, name: str) -> Array:
    """In float64, so that rounding, and with it the policy's hash, does not depend on this machine's BLAS."""
    product = x.astype(np.float64) @ g.tensor(f"{name}.weight").astype(np.float64).T
    result: Array = (product + g.tensor(f"{name}.bias")).astype(np.float32)
    return result


def _silu(x: Array) -> Array:
    """x * sigmoid(x), in the form that cannot overflow."""
    wide = x.astype(np.float64)
    activated: Array = (0.5 * wide * (1.0 + np.tanh(0.5 * wide))).astype(np.float32)
    return activated
