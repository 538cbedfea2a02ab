"""The copy counts also where the product could not be measured any more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex_bench.gpu_check.plan import SMALL
from reflex_bench.gpu_check.rows import LeftOut, Row
from reflex_bench.gpu_check.stages import ceilings


def test_the_copy_is_said_before_the_product_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_side: int) -> None:
        raise ort.RuntimeException("CUDA failure 2: out of memory")

    monkeypatch.setattr(ceilings, "_product_graph", fail)
    emitted: list[Row | LeftOut] = []

    with pytest.raises(ort.RuntimeException):
        ceilings.measure_ceilings(replace(SMALL, copied_bytes=1 << 12, rounds=1), "cpu", emitted.append)

    assert [one.keys for one in emitted if isinstance(one, Row)] == [{"ceiling": "copy", "way": "cpu"}]
