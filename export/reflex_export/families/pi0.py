"""pi0: the state is a token in front of the noisy actions, and the time is mixed into each action's embedding."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from reflex_export.blocks.euler import euler_loop, guidance_inputs
from reflex_export.blocks.flow import euler_times, sinusoidal_embedding
from reflex_export.blocks.gemma import plain_norm
from reflex_export.blocks.transformer import linear, silu, time_bias
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import Arithmetic, FamilyGraphs
from reflex_export.families.paligemma import PaliGemma, read_paligemma
from reflex_export.families.paligemma_denoise import attended_prefix, build_answer, run_expert
from reflex_export.families.paligemma_encoder import build_encoder
from reflex_export.graph.graph import Array, GraphBuilder, OnnxModel

__all__ = ["build"]


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int], precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """The policy's graphs, one denoise graph per step count. The prefix's tensors are keys, values, mask, state_token.

    `CheckpointError` names what the graphs would not compute.
    """
    p = read_paligemma(checkpoint)
    return FamilyGraphs(
        preprocess=p.preprocess(),
        encoder=build_encoder(p, precision, taps=taps, with_state=True),
        denoise={count: _build_denoise(p, count, precision, taps=taps) for count in steps},
    )


def _build_denoise(p: PaliGemma, steps: int, precision: Arithmetic, *, taps: bool) -> OnnxModel:
    g = p.graph("denoise", precision)
    attended = attended_prefix(g, p, leading_tokens=1)
    state = g.op("Unsqueeze", g.input("state_token", "FP32", (p.expert.width,)), g.ints(1))
    noise = g.input("noise", "FP32", (p.horizon, p.action_channels))
    guidance = guidance_inputs(g, p.horizon, p.action_channels)
    mixing = _mixing_weight(g, p)
    times = _time_shares(g, p, steps)

    def velocity(x: ir.Value, step: int) -> ir.Value:
        actions = linear(g, x, f"{p.root}action_in_proj", datatype="FP32")
        mixed = silu(g, g.op("Add", g.op("MatMul", actions, mixing), g.constant(times[step])))
        tokens = linear(g, mixed, _time_layer(p, "out"), datatype="FP32")
        return run_expert(g, p, g.op("Concat", state, tokens, axis=1), attended, plain_norm)

    return build_answer(g, p, euler_loop(g, noise, steps, velocity, guidance), taps=taps)


def _mixing_weight(g: GraphBuilder, p: PaliGemma) -> ir.Value:
    """[W, W] FP32: what Linear([action ; time]) multiplies the action's half by."""
    name, width = _time_layer(p, "in"), p.expert.width
    half = g.derived(f"{name}.action", (width, width), lambda: g.tensor(f"{name}.weight")[:, :width], "FP32")
    return g.op("Transpose", half, perm=[1, 0])


def _time_shares(g: GraphBuilder, p: PaliGemma, steps: int) -> Array:
    """[steps, W]: the time's half of Linear([action ; time]), and its bias."""
    embedding = sinusoidal_embedding(euler_times(steps), p.expert.width, *p.periods)
    return time_bias(g, _time_layer(p, "in"), embedding, p.expert.width)


def _time_layer(p: PaliGemma, which: str) -> str:
    """lerobot reads either name."""
    return p.either(f"action_time_mlp_{which}", f"time_mlp_{which}")
