"""Valid keys first: every sequence of a request the same way, whatever is valid, and each request its own."""

from __future__ import annotations

import numpy as np
import onnxruntime

from reflex_export.blocks.key_order import valid_first
from reflex_export.graph.graph import GraphBuilder

SEQUENCES, LENGTH, WIDTH = 3, 7, 2
MASKS = np.array(
    [[1, 0, 1, 1, 0, 0, 1], [1] * LENGTH, [0] * LENGTH, [0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0]], bool
)


def test_valid_tokens_come_first_and_all_keep_their_order() -> None:
    g = GraphBuilder("order")
    stacks = [g.input(name, "FP32", (SEQUENCES * LENGTH, WIDTH)) for name in ("keys", "values")]
    order = valid_first(g, stacks, g.input("mask", "BOOL", (LENGTH,)), sequences=SEQUENCES, length=LENGTH)
    for name, stack in zip(("first_keys", "first_values"), order.stacks, strict=True):
        g.output(stack, name, "FP32", (SEQUENCES * LENGTH, WIDTH))
    g.output(order.count, "count", "INT64", ())
    g.output(order.mask, "first", "BOOL", (LENGTH,))
    given = np.random.default_rng(0).standard_normal((2, len(MASKS), SEQUENCES * LENGTH, WIDTH)).astype(np.float32)

    session = onnxruntime.InferenceSession(g.build().content)
    *found, counts, first = session.run(None, {"keys": given[0], "values": given[1], "mask": MASKS})

    for before, after in zip(given, found, strict=True):
        for request, mask in enumerate(MASKS):
            sequences = before[request].reshape(SEQUENCES, LENGTH, WIDTH)
            expected = np.concatenate([sequences[:, mask], sequences[:, ~mask]], axis=1)
            np.testing.assert_array_equal(after[request].reshape(SEQUENCES, LENGTH, WIDTH), expected)
    np.testing.assert_array_equal(counts, MASKS.sum(axis=1))
    np.testing.assert_array_equal(first, np.arange(LENGTH)[None] < MASKS.sum(axis=1)[:, None])
