from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.gpus.driver import read_driver
from reflex.gpus.libraries import Libraries
from reflex.gpus.ways import Device, Machine, Wanted, choose, ways
from support.gpus.standin import H200, RTX_3090, RTX_4090, RTX_5090, T4, V100, Card, Standin

ALL_THERE = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",), (), "0.5.0", 13)
A100 = Card("NVIDIA A100-SXM4-80GB", (8, 0), 80 * 2**30)


def machine(folder: Path, standin: Standin | None = None, libraries: Libraries = ALL_THERE) -> Machine:
    """One with this driver, whose library is opened and asked."""
    library = folder / "libcuda.so.1"
    if standin is not None:
        standin.write(library)
    return Machine(read_driver(str(library), folder / "no release"), libraries)


@pytest.mark.parametrize(
    ("card", "device"),
    [(RTX_3090, "trt-rtx"), (RTX_4090, "trt-rtx"), (RTX_5090, "trt-rtx"), (H200, "cuda"), (A100, "cuda"), (T4, "cuda"),
     (V100, "cpu")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)  # fmt: skip
def test_auto_takes_the_best_way_that_the_card_has(tmp_path: Path, card: Card, device: Device) -> None:
    found = choose("auto", machine(tmp_path, Standin([card])))
    assert found.device == device
    assert (found.gpu is None) == (device == "cpu")
    assert len(found.passed_over) == ("trt-rtx", "cuda", "cpu").index(device)


def test_auto_without_a_driver_is_the_processor_and_has_nothing_to_tell(tmp_path: Path) -> None:
    found = choose("auto", machine(tmp_path))
    assert (found.device, found.gpu, found.passed_over) == ("cpu", None, ())


def test_of_several_cards_the_first_that_will_do_is_taken(tmp_path: Path) -> None:
    several = machine(tmp_path, Standin([V100, H200, RTX_4090]))
    assert [way.name for way in ways(several).values() if way is not None and not isinstance(way, str)] == [
        RTX_4090.name, H200.name,
    ]  # fmt: skip


OLD = Standin([H200], cuda=12040)


@pytest.mark.parametrize(
    ("wanted", "standin", "libraries", "said"),
    [
        ("cuda", None, ALL_THERE, ("no NVIDIA driver", "libcuda.so.1", "580", "--gpus all")),
        ("trt-rtx", None, ALL_THERE, ("no NVIDIA driver",)),
        ("cuda", OLD, ALL_THERE, ("CUDA 12.4", "release 580", "upgrade the driver")),
        ("cuda", Standin(results={"cuInit": 100}), ALL_THERE, ("finds no GPU", "CUDA_ERROR_NO_DEVICE, 100")),
        ("cuda", Standin(results={"cuInit": 804}), ALL_THERE, ("not of one release", "804", "restart the machine")),
        ("cuda", Standin(results={"cuInit": 802}), ALL_THERE, ("fabric manager", "802")),
        ("cuda", Standin(results={"cuInit": 999}), ALL_THERE, ("its GPU is lost", "999", "restart the machine")),
        ("trt-rtx", Standin([H200]), ALL_THERE, ("NVIDIA H200", "9.0", "--device cuda")),
        ("trt-rtx", Standin([A100]), ALL_THERE, ("8.0", "--device cuda")),
        ("trt-rtx", Standin([T4]), ALL_THERE, ("Tesla T4", "7.5", "--device cuda")),
        ("trt-rtx", Standin([V100]), ALL_THERE, ("7.0", "use a card of the RTX 30 series")),
        ("cuda", Standin([V100]), ALL_THERE, ("7.0", "needs 7.5", "Turing")),
        ("cuda", Standin(), Libraries(), ("onnxruntime-gpu is not installed", "[gpu]")),
        ("cuda", Standin(), Libraries("1.31.1", None, ("onnxruntime",)), ("on the CPU alone", "uninstall -y", "[gpu]")),
        ("cuda", Standin(), Libraries("1.31.1", None, ("onnxruntime", "onnxruntime-gpu")),
         ("has overwritten onnxruntime-gpu", "uninstall -y onnxruntime onnxruntime-gpu")),
        ("cuda", Standin(), Libraries("1.26.0", "12.8", ("onnxruntime-gpu",)), ("is built for CUDA 12.8", "[gpu]")),
        ("cuda", Standin(), Libraries("1.31.1", "13.0", ("onnxruntime-gpu",), ("libcudnn.so.9",)),
         ("libcudnn.so.9", "[gpu]")),
        ("trt-rtx", Standin(), Libraries("1.31.1"), ("plugin for ONNX Runtime is not installed", "[gpu-rtx]")),
        ("trt-rtx", Standin(), Libraries("1.31.1", plugin="0.5.0", plugin_cuda=12), ("for CUDA 12", "[gpu-rtx]")),
        ("trt-rtx", Standin(), Libraries(plugin="0.5.0", plugin_cuda=13), ("onnxruntime is not installed",)),
        ("trt-rtx", Standin(), Libraries("1.22.0", plugin="0.5.0", plugin_cuda=13), ("1.22.0 is too old", ">=1.24")),
    ],
)  # fmt: skip
def test_a_device_that_is_named_and_does_not_work_is_refused_and_auto_says_the_same(
    tmp_path: Path, wanted: Wanted, standin: Standin | None, libraries: Libraries, said: tuple[str, ...]
) -> None:
    here = machine(tmp_path, standin, libraries)
    with pytest.raises(SetupError) as refused:
        choose(wanted, here)
    sentence = str(refused.value)
    assert sentence.startswith(f"--device {wanted}: ")
    assert [part for part in said if part not in sentence] == []
    assert sentence.endswith("or serve with --device cpu")

    reason = sentence.removeprefix(f"--device {wanted}: ").removesuffix(", or serve with --device cpu")
    passed_over = choose("auto", here).passed_over
    assert f"{wanted}: {reason}" in passed_over or here.driver.problem == "absent"


def test_the_processor_is_taken_whatever_the_gpu_is(tmp_path: Path) -> None:
    found = choose("cpu", machine(tmp_path, Standin([H200])))
    assert (found.device, found.gpu, found.passed_over) == ("cpu", None, ())
