"""The embedded Triton, for real, told to compute on a GPU that a stand-in for the driver speaks of.

What is missing below that driver is missing indeed: the models' processes say so, and the frontend draws its
conclusions.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reflex.gpus import Libraries, Machine, Wanted, read_driver
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton, TritonEvent
from reflex_frontend.embedded.device import DeviceInUse
from support.gpus.backend import doubling
from support.gpus.standin import RTX_4090, Standin
from support.waiting import eventually

ALL_THERE = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",), (), "0.5.0", 13)
CONFIG = """
name: "{name}"
backend: "{backend}"
max_batch_size: 4
input [{{ name: "x" data_type: TYPE_FP32 dims: [4] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [4] }}]
instance_group [{{ count: 1 }}]
"""
TELLS = """
import os
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def initialize(self, args):
        raise pb_utils.TritonModelException("it sees " + repr(os.environ.get("CUDA_VISIBLE_DEVICES")))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`double`, and a model of a user's that tells which cards it sees."""
    folder = tmp_path / "models"
    for name, backend in (("double", "onnxruntime"), ("built", "tensorrt_rtx"), ("tells", "python")):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(CONFIG.format(name=name, backend=backend))
        doubling(folder / name / "1" / "model.onnx")
    (folder / "tells" / "1" / "model.py").write_text(TELLS)
    return folder


def device_on(folder: Path, wanted: Wanted) -> DeviceInUse:
    library = Standin([RTX_4090]).write(folder / "libcuda.so.1")
    return DeviceInUse(wanted, Machine(read_driver(str(library)), ALL_THERE))


async def run(repository: Path, model: str, device: DeviceInUse) -> tuple[list[TritonEvent], bool]:
    """What happened until it served, or gave up."""
    events: list[TritonEvent] = []
    over = asyncio.Event()

    def note(event: TritonEvent) -> None:
        events.append(event)
        if event.kind == "gave_up":
            over.set()

    options = EmbeddedOptions(model_repository=repository, models=(model,), device=device, max_failed_starts=1,
                              restart_delay_s=0.05)  # fmt: skip
    triton = EmbeddedTriton(options, on_event=note)
    await triton.start()
    try:
        await eventually(lambda: over.is_set() or triton.is_serving, "Triton serves or has given up")
        return events, triton.is_serving
    finally:
        await triton.stop(1.0)


@pytest.mark.parametrize("model", ["double", "built"])
def test_auto_serves_on_the_processor_when_neither_way_of_the_gpu_comes_up(
    tmp_path: Path, repository: Path, model: str
) -> None:
    device = device_on(tmp_path, "auto")
    events, serves = asyncio.run(run(repository, model, device))
    assert serves
    assert device.name == "cpu"
    assert [sentence.partition(":")[0] for sentence in device.passed_over] == ["trt-rtx", "cuda"]
    assert "computes on the CPU alone" in device.passed_over[1]
    told = [event.message for event in events if event.kind == "exited"]
    assert [message.rpartition("; ")[2] for message in told] == [
        "--device auto takes cuda now", "--device auto takes cpu now",
    ]  # fmt: skip


def test_a_device_that_was_named_gives_its_sentence_and_no_other_device(tmp_path: Path, repository: Path) -> None:
    device = device_on(tmp_path, "cuda")
    events, serves = asyncio.run(run(repository, "double", device))
    assert not serves
    (gave_up,) = [event for event in events if event.kind == "gave_up"]
    assert "model 'double': device cuda: the package onnxruntime here computes on the CPU alone" in gave_up.message
    assert device.name == "cuda"


@pytest.mark.parametrize(("wanted", "sees"), [("cuda", "it sees '0'"), ("cpu", "it sees ''")])
def test_models_see_the_card_that_was_chosen(tmp_path: Path, repository: Path, wanted: Wanted, sees: str) -> None:
    events, _ = asyncio.run(run(repository, "tells", device_on(tmp_path, wanted)))
    assert sees in events[-2].message
