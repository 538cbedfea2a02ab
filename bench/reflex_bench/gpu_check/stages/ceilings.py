"""The card's ceilings: how fast it copies, and how fast it multiplies; and what a chunk costs at least by them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reflex_bench.gpu_check.bounds import SIZES, Ceilings, lower_bound
from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.rows import Emit, Keys, Row
from reflex_bench.gpu_check.timed_graphs import TimedGraph, median_ms
from reflex_bench.gpu_check.ways import Way
from reflex_export.graph.graph import GraphBuilder

__all__ = ["measure_ceilings"]

TERA: Final = 1e12
BYTES_OF_A_NUMBER: Final = 2
NOTES: Final[Mapping[str, str]] = {"copy": "read and written", "product": "FP16"}


def measure_ceilings(plan: Plan, way: Way, emit: Emit) -> None:
    """Both by ONNX Runtime, with its operands on the device."""
    copy = 2 * plan.copied_bytes / _seconds(_copy_graph(plan.copied_bytes), plan, way)
    emit(Row("copy, device to device", copy / TERA, "TB/s", NOTES["copy"], {"ceiling": "copy", "way": way}))
    side = plan.product_side
    product = 2 * side**3 / _seconds(_product_graph(side), plan, way)
    emit(Row(f"product, {side} cubed", product / TERA, "TFLOP/s", NOTES["product"], {"ceiling": "product", "way": way}))
    for family, sizes in SIZES.items():
        for cameras in (1, 2, 3):
            bound = lower_bound(sizes, Ceilings(copy, product), cameras=cameras)
            note = f"encoder {bound.encoder_ms:,.2f}, denoise {bound.denoise_ms:,.2f}"
            keys: Keys = {"bound": "together", "family": family, "cameras": cameras}
            emit(Row(f"{family}, full size, {cameras} camera(s): not below", bound.together_ms, "ms", note, keys))


def _seconds(graph: GraphBuilder, plan: Plan, way: Way) -> float:
    with tempfile.TemporaryDirectory(prefix="reflex-gpu-check-") as folder:
        graph.build().save(Path(folder))
        run, _ = TimedGraph(next(Path(folder).glob("*.onnx")), way).bound({}, 1)
        return median_ms(run, plan.rounds) / 1e3


def _copy_graph(size_bytes: int) -> GraphBuilder:
    g = GraphBuilder("copy")
    shape = (size_bytes // BYTES_OF_A_NUMBER,)
    g.output(g.op("Identity", g.input("from", "FP16", shape)), "to", "FP16", shape)
    return g


def _product_graph(side: int) -> GraphBuilder:
    g = GraphBuilder("product")
    left, right = (g.input(name, "FP16", (side, side)) for name in ("left", "right"))
    g.output(g.op("MatMul", left, right), "product", "FP16", (side, side))
    return g
