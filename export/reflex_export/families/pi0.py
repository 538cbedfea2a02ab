"""pi0: the state is a token in front of the noisy actions, and the time is mixed into each action's embedding.

The state sees the prefix and itself, so its keys and values are the same in every step: it runs in the first one only.
What an action goes through before anything non-linear is one matrix, made here of two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.euler import euler_loop, guidance_inputs
from reflex_export.blocks.flow import euler_times, sinusoidal_embedding
from reflex_export.blocks.gemma import plain_norm
from reflex_export.blocks.operators import dense, rows, tokens
from reflex_export.blocks.transformer import silu, time_bias
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import Arithmetic, FamilyGraphs
from reflex_export.families.paligemma import PaliGemma, read_paligemma
from reflex_export.families.paligemma_denoise import (
    Attended,
    after_first_step,
    attended_prefix,
    build_answer,
    run_expert,
    velocity_of,
)
from reflex_export.families.paligemma_encoder import build_encoder
from reflex_export.graph.graph import Array, GraphBuilder, OnnxModel

__all__ = ["build"]


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int], precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """The policy's graphs, one denoise graph per step count. The prefix's tensors are keys, values, mask, state_token.

    `CheckpointError` names what the graphs would not compute.
    """
    p = read_paligemma(checkpoint, precision)
    return FamilyGraphs(
        preprocess=p.preprocess(),
        encoder=build_encoder(p, taps=taps, with_state=True),
        denoise={count: _build_denoise(p, count, taps=taps) for count in steps},
        # The first step, in which the state does not see the actions, keeps its mask.
        counted=lambda count: _build_denoise(p, count, taps=taps, counted=True) if count > 1 else None,
    )


def _build_denoise(p: PaliGemma, steps: int, *, taps: bool, counted: bool = False) -> OnnxModel:
    g = p.graph("denoise")
    attended = attended_prefix(g, p, leading_tokens=1, counted=counted)
    state = g.input("state_token", "FP32", (p.expert.width,))
    noise = g.input("noise", "FP32", (p.horizon, p.action_channels))
    guidance = guidance_inputs(g, p.horizon, p.action_channels)
    mixing = _mixing_weight(g, p)
    shares = _constant_shares(g, p, steps)
    known: list[Attended] = []

    def velocity(x: ir.Value, step: int) -> ir.Value:
        mixed = g.op("Gemm", rows(g, x, p.action_channels), mixing, g.constant(shares[step]), transB=1)
        embedded = dense(g, silu(g, mixed), _time_layer(p, "out"), bias=True, factor=p.stream, datatype="FP32")
        if known:
            normed, _ = run_expert(g, p, embedded, known[0], plain_norm)
            return velocity_of(g, p, normed)
        normed, met = run_expert(g, p, _after_state(g, p, state, embedded), attended, plain_norm)
        known.extend([after_first_step(g, p, attended, met)] if steps > 1 else [])
        return velocity_of(g, p, _without_state(g, p, normed))

    return build_answer(g, p, euler_loop(g, noise, steps, velocity, guidance), taps=taps)


def _after_state(g: GraphBuilder, p: PaliGemma, state: ir.Value, actions: ir.Value) -> ir.Value:
    """Rows of the state and then the actions, of each request; `state` [B, W] is not scaled yet."""
    first = tokens(g, g.op("Mul", state, g.constant(p.stream)), 1, p.expert.width)
    sequence = g.op("Concat", first, tokens(g, actions, p.horizon, p.expert.width), axis=1)
    return rows(g, sequence, p.expert.width)


def _without_state(g: GraphBuilder, p: PaliGemma, normed: ir.Value) -> ir.Value:
    sequence = tokens(g, normed, 1 + p.horizon, p.expert.width)
    return rows(g, g.op("Slice", sequence, g.ints(1), g.ints(1 + p.horizon), g.ints(1)), p.expert.width)


def _mixing_weight(g: GraphBuilder, p: PaliGemma) -> ir.Value:
    """[W, action channels] FP32: action_in_proj, and what Linear([action ; time]) multiplies the action's half by.

    In float64, so that rounding, and with it the policy's hash, does not depend on this machine's BLAS.
    """
    shape = g.shape(f"{p.root}action_in_proj.weight")

    def product() -> Array:
        mixed: Array = _action_half(g, p) @ g.tensor(f"{p.root}action_in_proj.weight").astype(np.float64)
        return mixed.astype(np.float32)

    return g.derived(f"{_time_layer(p, 'in')}.action", shape, product, "FP32")


def _constant_shares(g: GraphBuilder, p: PaliGemma, steps: int) -> Array:
    """[steps, W]: what the time, and every bias up to there, adds."""
    embedding = sinusoidal_embedding(euler_times(steps), p.expert.width, *p.periods)
    shares = time_bias(g, _time_layer(p, "in"), embedding, p.expert.width)
    total: Array = shares + _action_half(g, p) @ g.tensor(f"{p.root}action_in_proj.bias")
    return total.astype(np.float32)


def _action_half(g: GraphBuilder, p: PaliGemma) -> Array:
    half: Array = g.tensor(f"{_time_layer(p, 'in')}.weight")[:, : p.expert.width].astype(np.float64)
    return half


def _time_layer(p: PaliGemma, which: str) -> str:
    """lerobot reads either name."""
    return p.either(f"action_time_mlp_{which}", f"time_mlp_{which}")
