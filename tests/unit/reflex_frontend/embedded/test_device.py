from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.gpus import Libraries, Machine, Wanted, read_driver
from reflex_frontend.embedded.device import DeviceInUse
from support.fakes import policy_config
from support.gpus.standin import H200, RTX_4090, T4, Card, Standin

ALL_THERE = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",), (), "0.5.0", 13)
BACKENDS, CACHE = Path("/backends"), Path("/cache")


def on(folder: Path, wanted: Wanted, *cards: Card, release: str = "580.95.05") -> DeviceInUse:
    library = Standin(cards).write(folder / "libcuda.so.1")
    (folder / "version").write_text(release)
    return DeviceInUse(wanted, Machine(read_driver(str(library), folder / "version"), ALL_THERE))


def test_the_processor_hides_every_card_from_triton_and_its_models() -> None:
    device = DeviceInUse()
    assert (device.name, device.card, device.passed_over, device.may_step_down) == ("cpu", None, (), False)
    assert device.environment({"CUDA_VISIBLE_DEVICES": "0"}, BACKENDS, CACHE) == {"CUDA_VISIBLE_DEVICES": ""}


def test_models_are_told_the_device_and_see_its_card_alone_and_tritonserver_sees_none(tmp_path: Path) -> None:
    told = on(tmp_path, "auto", T4, RTX_4090).environment({"CUDA_VISIBLE_DEVICES": "GPU-aa,GPU-bb"}, BACKENDS, CACHE)
    assert told == {
        "CUDA_VISIBLE_DEVICES": "",
        "BASH_ENV": "/backends/onnxruntime/reflex_visible.sh",
        "REFLEX_ONNX_GPU": "GPU-bb",
        "REFLEX_ONNX_DEVICE": "trt-rtx",
        "REFLEX_ONNX_CACHE": "/cache/compiled",
        "REFLEX_ONNX_CARD": "8.9, driver 580",
    }
    assert on(tmp_path, "cuda", T4).environment({}, BACKENDS, CACHE)["REFLEX_ONNX_GPU"] == "0"


@pytest.mark.parametrize(
    ("wanted", "card", "precision", "mode"),
    [("cuda", H200, "fp16", "onnx_cuda"), ("auto", RTX_4090, "fp16", "onnx_trt_fp16"),
     ("auto", RTX_4090, "fp32", "decomposed"), ("auto", H200, "fp32", "onnx_cuda"), ("cpu", H200, "fp16", "onnx_cpu")],
)  # fmt: skip
def test_the_mode_is_the_one_in_which_a_policy_runs_here(
    tmp_path: Path, wanted: Wanted, card: Card, precision: str, mode: str
) -> None:
    config = policy_config(precision=precision, inference_mode="monolithic")
    assert on(tmp_path, wanted, card).mode(config) == mode
    assert DeviceInUse.elsewhere().mode(config) == "monolithic"


def test_auto_goes_down_one_device_after_the_other_and_says_why(tmp_path: Path) -> None:
    device, changes = on(tmp_path, "auto", RTX_4090), []
    device.on_change = lambda: changes.append(device.name)

    assert device.step_down("model 'pick_denoise': device trt-rtx: the GPU's memory ran out; see who")
    assert device.step_down("model 'pick_denoise': device cuda: the GPU is lost (CUDA failure 999)")

    assert changes == ["cuda", "cpu"]
    assert device.passed_over == (
        "trt-rtx: the GPU's memory ran out; see who",
        "cuda: the GPU is lost (CUDA failure 999)",
    )
    assert not device.step_down("model 'x': device cpu: no")
    assert device.environment({}, BACKENDS, CACHE) == {"CUDA_VISIBLE_DEVICES": ""}


def test_a_broken_model_is_no_fault_of_the_device_and_ends_the_looking(tmp_path: Path) -> None:
    device = on(tmp_path, "auto", H200)
    assert device.may_step_down
    assert not device.step_down("model 'x': model.onnx is missing; export the policy again")
    assert (device.name, device.may_step_down) == ("cuda", False)


def test_what_a_process_that_served_says_of_other_things_does_not_end_the_looking(tmp_path: Path) -> None:
    device = on(tmp_path, "auto", H200)
    assert not device.step_down("model 'x': model.onnx is missing; export the policy again", has_served=True)
    assert (device.name, device.may_step_down) == ("cuda", True)
    assert device.step_down("model 'x': device cuda: the GPU is lost (CUDA failure 999)", has_served=True)
    assert device.name == "cpu"


def test_a_device_that_was_named_stays(tmp_path: Path) -> None:
    device = on(tmp_path, "cuda", H200)
    assert not device.may_step_down
    assert not device.step_down("model 'x': device cuda: the GPU's memory ran out")
    assert (device.name, device.card) == ("cuda", "NVIDIA H200")
    with pytest.raises(SetupError, match=r"--device trt-rtx: NVIDIA H200 has compute capability 9\.0"):
        on(tmp_path, "trt-rtx", H200)
