"""What is measured is the form that a server would serve: one that loads and fails when it is run is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex.errors import RepositoryError
from reflex.model_repository import CUDA_MODEL_FILE, MODEL_FILE, TRITON_CONFIG_FILE
from reflex_export.checking.served_form import OUT_OF_MEMORY, served_form
from reflex_export.checking.serving_device import PROCESSOR, ServingDevice
from reflex_export.errors import DeviceError
from reflex_export.graph.graph import GraphBuilder
from reflex_export.progress import Stage, unseen
from support.gpus.backend import backend_module

CARD = ServingDevice("a card", (("CPUExecutionProvider", {}),))
X = np.ones((1, 2), np.float32)


@pytest.fixture
def denoise(tmp_path: Path) -> Path:
    """`model.onnx` gives -x; its form for CUDA, which can at most 2 at once, x."""
    version = tmp_path / "arm_denoise" / "1"
    version.mkdir(parents=True)
    (version.parent / TRITON_CONFIG_FILE).write_text("max_batch_size: 2\n")
    g = GraphBuilder("plain")
    g.output(g.op("Neg", g.input("x", "FP32", (2,))), "y", "FP32", (2,))
    g.build().save(version)
    with_form(version, 2)
    return version / MODEL_FILE


def with_form(version: Path, rows: int) -> None:
    """One that loads, and fails with more rows than these: the places that it gathers are not there."""
    g = GraphBuilder("form")
    x = g.input("x", "FP32", (2,))
    count = g.op("Gather", g.op("Shape", x), g.ints(0))
    table = g.constant(np.zeros(rows + 1, np.float32))
    g.output(g.op("Add", x, g.op("Gather", table, count)), "y", "FP32", (2,))
    (version / CUDA_MODEL_FILE).write_bytes(g.build().content)


def opened(denoise: Path, device: ServingDevice = CARD) -> tuple[str, float, list[str]]:
    told: list[Stage] = []
    runner, form = served_form({"denoise": denoise}, device, told.append)
    return form, float(runner.run({"x": X})["y"][0, 0]), [stage.name for stage in told]


def test_the_form_for_cuda_is_measured_on_a_card_alone(denoise: Path) -> None:
    assert opened(denoise) == (CUDA_MODEL_FILE, 1.0, [])
    assert opened(denoise, PROCESSOR) == (MODEL_FILE, -1.0, [])


@pytest.mark.parametrize("said", ["1", "TRUE", "yes", "on"])
def test_masks_can_be_asked_for_as_of_a_server(denoise: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("REFLEX_CUDA_MASKS", said)
    assert opened(denoise) == (MODEL_FILE, -1.0, [])


@pytest.mark.parametrize("rows", [0, 1])
def test_a_form_that_loads_and_fails_with_some_batch_size_is_not_measured(denoise: Path, rows: int) -> None:
    with_form(denoise.parent, rows)

    told = f"{CUDA_MODEL_FILE} does not run on a card: {MODEL_FILE} is measured, as it is served"
    assert opened(denoise) == (MODEL_FILE, -1.0, [told])


def test_memory_that_runs_out_is_told_and_nothing_else_is_measured(
    denoise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_out(*_: Any) -> None:
        raise ort.RuntimeException("Non-zero status code\nFailed to allocate memory for requested buffer")

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", runs_out)

    with pytest.raises(DeviceError, match=r"on a card .*see by `nvidia-smi` whether its memory is free"):
        served_form({"denoise": denoise}, CARD, unseen)


def test_memory_is_known_by_the_words_of_the_servers_backend() -> None:
    assert OUT_OF_MEMORY == backend_module("reflex_device").OUT_OF_MEMORY


@pytest.mark.parametrize("text", ["max_batch_size: many", "max_batch_size: [", None])
def test_a_config_that_cannot_be_read_is_named(denoise: Path, text: str | None) -> None:
    path = denoise.parents[1] / TRITON_CONFIG_FILE
    path.unlink() if text is None else path.write_text(text)

    with pytest.raises(RepositoryError, match=r"config\.pbtxt is no Triton model configuration: .*export the policy"):
        opened(denoise)
