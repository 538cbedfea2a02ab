"""Each block against its formula in NumPy, computed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest

from reflex_export.blocks.operators import (
    attend,
    dense,
    merged_dense,
    normed,
    rotate_heads,
    rotation,
    rows,
    split,
    tokens,
    visible_keys,
)
from reflex_export.graph.graph import FloatType, GraphBuilder, OnnxModel
from reflex_export.reading.tensors import open_file
from support.checkpoints.random_checkpoint import write_safetensors

Array = npt.NDArray[Any]
BATCH, QUERIES, KEYS, HEADS, WIDTH = 2, 3, 5, 4, 8
RANDOM = np.random.default_rng(0)


def draw(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def run(model: OnnxModel, **feeds: Array) -> list[Array]:
    found: list[Array] = onnxruntime.InferenceSession(model.content).run(None, feeds)
    return found


def answer(
    build: Callable[[GraphBuilder, ir.Value], ir.Value], x: Array, out: int, weights: Mapping[str, Array] = {}
) -> Array:
    g = GraphBuilder("block", weights)
    g.output(build(g, g.input("x", "FP32", x.shape[1:])), "y", "FP32", (*x.shape[1:-1], out))
    (y,) = run(g.build(), x=x)
    return y


def rotated(x: Array, positions: Array) -> Array:
    """x [B, H, T, D]: each pair of a head's two halves, turned."""
    half = x.shape[-1] // 2
    angles = positions[:, None, :, None] / 10_000.0 ** (np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def by_heads(x: Array, heads: int) -> Array:
    split_up: Array = x.reshape(*x.shape[:2], heads, -1)
    return split_up.swapaxes(1, 2)


def attended(given: Mapping[str, Array], seen: Array, kv_heads: int) -> Array:
    """What `qkv` gives, mixed [B, T, heads * D]; `seen` BOOL broadcasts to [B, T, L]."""
    group = HEADS // kv_heads
    q = by_heads(given["q"], HEADS)
    k, v = (by_heads(given[name], kv_heads).repeat(group, axis=1) for name in "kv")
    scores = np.where(np.expand_dims(seen, 1), q @ k.swapaxes(2, 3) / np.sqrt(WIDTH), -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed: Array = shares / shares.sum(axis=-1, keepdims=True) @ v
    return mixed.swapaxes(1, 2).reshape(given["q"].shape)


def attention_graph(kv_heads: int, compute: FloatType = "FP32", *, masked: bool) -> OnnxModel:
    g = GraphBuilder("attention", compute=compute)
    query = g.input("q", compute, (QUERIES, HEADS * WIDTH))
    key, value = (g.input(name, compute, (KEYS, kv_heads * WIDTH)) for name in "kv")
    mask = visible_keys(g, g.input("valid", "BOOL", (KEYS,)), QUERIES) if masked else None
    mixed = attend(g, query, key, value, mask, heads=HEADS, kv_heads=kv_heads, head_dim=WIDTH)
    g.output(mixed, "y", compute, (QUERIES, HEADS * WIDTH))
    return g.build()


def qkv(kv_heads: int) -> dict[str, Array]:
    narrow = kv_heads * WIDTH
    return {"q": draw(BATCH, QUERIES, HEADS * WIDTH), "k": draw(BATCH, KEYS, narrow), "v": draw(BATCH, KEYS, narrow)}


def test_a_norm_is_divided_by_the_root_mean_square_and_scaled() -> None:
    x, scale = draw(BATCH, QUERIES, WIDTH), draw(WIDTH)
    expected = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6) * scale
    found = answer(lambda g, hidden: normed(g, hidden, g.constant(scale), 1e-6), x, WIDTH)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_layer_takes_its_weight_as_it_is_stored() -> None:
    weights, x = {"up.weight": draw(5, WIDTH), "up.bias": draw(5)}, draw(BATCH, QUERIES, WIDTH)

    def build(g: GraphBuilder, hidden: ir.Value) -> ir.Value:
        return tokens(g, dense(g, rows(g, hidden, WIDTH), "up", bias=True, factor=0.25), QUERIES, 5)

    expected = (x @ weights["up.weight"].T + weights["up.bias"]) / 4
    np.testing.assert_allclose(answer(build, x, 5, weights), expected, atol=1e-5)


def test_merged_layers_answer_side_by_side_each_with_its_factor() -> None:
    weights, x = {"gate.weight": draw(3, WIDTH), "up.weight": draw(2, WIDTH)}, draw(BATCH, WIDTH)
    found = answer(lambda g, hidden: merged_dense(g, hidden, "both", {"gate": 1.0, "up": 0.5}), x, 5, weights)
    expected = [x @ weights["gate.weight"].T, x @ weights["up.weight"].T / 2]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=-1), atol=1e-5)


def test_parts_are_cut_from_the_last_axis() -> None:
    x = draw(BATCH, QUERIES, 5)
    np.testing.assert_array_equal(answer(lambda g, hidden: split(g, hidden, 3, 2)[1], x, 2), x[..., 3:])


def test_every_head_is_turned_by_its_tokens_position() -> None:
    x, positions = draw(BATCH, QUERIES, HEADS * WIDTH), np.array([[0, 1, 7], [300, 301, 302]], np.float32)
    g = GraphBuilder("rotary")
    tables = rotation(g, g.input("positions", "FP32", (QUERIES,)), WIDTH)
    turned = rotate_heads(g, g.input("x", "FP32", (QUERIES, HEADS * WIDTH)), tables, HEADS)
    g.output(turned, "y", "FP32", (QUERIES, HEADS * WIDTH))
    (found,) = run(g.build(), x=x, positions=positions)
    expected = rotated(by_heads(x, HEADS), positions).swapaxes(1, 2).reshape(x.shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kv_heads", [1, 2, HEADS])
def test_queries_mix_the_values_of_their_groups_keys(kv_heads: int) -> None:
    feeds = qkv(kv_heads)
    (found,) = run(attention_graph(kv_heads, masked=False), **feeds)
    everything = np.ones((BATCH, QUERIES, KEYS), np.bool_)
    np.testing.assert_allclose(found, attended(feeds, everything, kv_heads), atol=1e-5)


@pytest.mark.parametrize("compute", ["FP32", "FP16"])
def test_a_key_that_is_not_valid_is_not_seen(compute: FloatType) -> None:
    valid, feeds = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], np.bool_), qkv(2)
    given = {name: array.astype(np.float32 if compute == "FP32" else np.float16) for name, array in feeds.items()}
    (found,) = run(attention_graph(2, compute, masked=True), **given, valid=valid)
    np.testing.assert_allclose(
        found.astype(np.float32), attended(feeds, valid[:, None], 2), atol=1e-5 if compute == "FP32" else 5e-3
    )


@pytest.mark.parametrize("is_causal", [False, True])
def test_keys_are_seen_up_to_their_number_and_causally_up_to_ones_own(is_causal: bool) -> None:
    counts, feeds = np.array([3, 5]), qkv(2)
    g = GraphBuilder("counted")
    query = g.input("q", "FP32", (QUERIES, HEADS * WIDTH))
    key, value = (g.input(name, "FP32", (KEYS, 2 * WIDTH)) for name in "kv")
    number = g.input("number", "INT64", ())
    mixed = attend(
        g, query, key, value, heads=HEADS, kv_heads=2, head_dim=WIDTH, valid_keys=number, is_causal=is_causal
    )
    g.output(mixed, "y", "FP32", (QUERIES, HEADS * WIDTH))

    (found,) = run(g.build(), **feeds, number=counts)

    later = np.arange(QUERIES) - QUERIES + 1 if is_causal else np.zeros(QUERIES, int)
    seen = np.arange(KEYS) < counts[:, None, None] + later[None, :, None]
    np.testing.assert_allclose(found, attended(feeds, seen, 2), atol=1e-5)


def test_a_row_without_any_valid_key_is_some_mean_of_values_and_never_nan() -> None:
    feeds = qkv(1)
    (found,) = run(attention_graph(1, "FP32", masked=True), **feeds, valid=np.zeros((BATCH, KEYS), np.bool_))
    assert (np.abs(found) <= np.abs(feeds["v"]).max()).all()


def test_merged_weights_of_a_checkpoint_are_read_when_they_are_written(tmp_path: Any) -> None:
    stored = {"q.weight": draw(4, WIDTH), "k.weight": draw(2, WIDTH)}
    write_safetensors(tmp_path / "w.safetensors", stored)
    g = GraphBuilder("merged", open_file(tmp_path / "w.safetensors"), compute="FP16")
    half = g.halve(g.input("x", "FP32", (WIDTH,)))
    g.output(merged_dense(g, half, "qk", {"q": 1.0, "k": 2.0}), "y", "FP16", (6,))
    x = draw(BATCH, WIDTH)
    (found,) = run(g.build(), x=x)
    np.testing.assert_allclose(found[:, 4:], 2 * x @ stored["k.weight"].T, atol=0.05)
