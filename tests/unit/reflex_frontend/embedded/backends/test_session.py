"""Which file of a model is opened on which device, by the real ONNX Runtime; what is a GPU's is computed on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from reflex.model_repository import CUDA_MODEL_FILE, MODEL_FILE
from reflex_frontend.embedded.log import TritonLog
from support.gpus.backend import backend_module, doubling, model_config

bound = backend_module("reflex_bound")
session = backend_module("reflex_session")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`model.onnx` doubles, and its form for CUDA triples, so that they can be told apart."""
    monkeypatch.setattr(session, "open_on", on_cpu)
    weight = onnx.load(doubling(tmp_path / MODEL_FILE))
    weight.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(3 * np.eye(4, dtype=np.float32), "twice"))
    onnx.save(weight, tmp_path / CUDA_MODEL_FILE)
    return tmp_path


def on_cpu(
    _device: str,
    path: Path,
    options: Callable[[], Any],
    config: Mapping[str, Any],
    check: Callable[[Any], None],
) -> Any:
    try:
        opened = onnxruntime.InferenceSession(str(path), options(), providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise session.LoadError(str(exc)) from exc
    check(opened)
    made = bound.BoundSession(opened, config, "cpu", captures=False).warmed_up()
    made.captures = True  # as a GPU's does
    return made


def opened_on(device: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> Any:
    monkeypatch.setenv("REFLEX_ONNX_DEVICE", device)
    return session.open_session(model_config(**config), folder)


def test_the_frontend_is_told_from_which_file_a_model_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log = TritonLog()
    for device in ("cuda", "trt-rtx"):
        factor_on(device, folder, monkeypatch)
        log.feed(capfd.readouterr().err.encode())
        assert log.forms == {"double": {"cuda": CUDA_MODEL_FILE, "trt-rtx": MODEL_FILE}[device]}


def factor_on(device: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> float:
    opened = opened_on(device, folder, monkeypatch, **config)
    return float(opened.run(["y"], {"x": np.ones((1, 4), np.float32)})[0][0, 0])


@pytest.mark.parametrize(("device", "factor"), [("cpu", 2.0), ("trt-rtx", 2.0), ("cuda", 3.0)])
def test_the_form_for_cuda_is_opened_on_cuda_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, device: str, factor: float
) -> None:
    assert factor_on(device, folder, monkeypatch) == factor


def test_a_model_without_a_form_for_cuda_is_opened_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / CUDA_MODEL_FILE).unlink()
    assert factor_on("cuda", folder, monkeypatch) == 2.0


def test_a_file_that_the_config_names_is_the_one_that_is_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / MODEL_FILE).rename(folder / "mine.onnx")
    assert factor_on("cuda", folder, monkeypatch, default_model_filename="mine.onnx") == 2.0


@pytest.mark.parametrize("said", ["1", "true", "YES", "on"])
def test_masks_can_be_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("REFLEX_CUDA_MASKS", said)
    assert factor_on("cuda", folder, monkeypatch) == 2.0


def test_a_form_for_cuda_that_does_not_run_here_costs_a_line_and_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / CUDA_MODEL_FILE).write_bytes(b"no graph")

    assert factor_on("cuda", folder, monkeypatch) == 2.0

    said = capfd.readouterr().err
    assert f"double: {CUDA_MODEL_FILE} does not serve here (" in said
    assert f"; trying {MODEL_FILE}" in said


def test_a_form_for_cuda_of_which_no_graph_can_be_made_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def opened(device: str, path: Path, *rest: Any) -> Any:
        made = on_cpu(device, path, *rest)
        made.captures = path.name == MODEL_FILE
        return made

    monkeypatch.setattr(session, "open_on", opened)
    opened_session = opened_on("cuda", folder, monkeypatch)

    assert opened_session.captures
    assert f"{CUDA_MODEL_FILE} does not serve here (it cannot be a CUDA graph)" in capfd.readouterr().err


def test_where_neither_form_loads_the_one_of_every_runtime_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the first one's reason where it is another: it may have lost the GPU for the second."""
    for name in (MODEL_FILE, CUDA_MODEL_FILE):
        (folder / name).write_bytes(b"no graph")
    with pytest.raises(
        session.LoadError, match=f"/{MODEL_FILE} failed.*; before it {CUDA_MODEL_FILE} failed .*MASKS=1"
    ):
        factor_on("cuda", folder, monkeypatch)


def test_a_reason_that_is_the_same_for_both_is_told_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_a_gpu(*_: Any) -> Any:
        raise session.LoadError("device cuda: its provider cannot be loaded")

    monkeypatch.setattr(session, "open_on", without_a_gpu)
    with pytest.raises(session.LoadError, match=r"^device cuda: its provider cannot be loaded$"):
        factor_on("cuda", folder, monkeypatch)


def test_a_form_that_ran_without_a_graph_serves_where_the_other_does_not_load(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(device: str, path: Path, *rest: Any) -> Any:
        made = on_cpu(device, path, *rest)
        made.captures = False
        return made

    monkeypatch.setattr(session, "open_on", opened)
    (folder / MODEL_FILE).write_bytes(b"no graph")
    assert factor_on("cuda", folder, monkeypatch) == 3.0


def test_a_broken_model_is_not_told_as_the_devices_fault_because_its_other_form_failed_by_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(device: str, path: Path, *rest: Any) -> Any:
        if path.name == CUDA_MODEL_FILE:
            raise session.LoadError("device cuda: no kernel image is available")
        return on_cpu(device, path, *rest)

    monkeypatch.setattr(session, "open_on", opened)
    (folder / MODEL_FILE).write_bytes(b"no graph")
    with pytest.raises(session.LoadError, match="no kernel image") as refused:
        factor_on("cuda", folder, monkeypatch)
    assert "device cuda: " not in str(refused.value)
