"""What needs no TensorRT: where it is looked for, what a plan says of itself, how files appear, what is printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from reflex.errors import SetupError
from reflex.export_options import ExportOptions
from reflex_export.commands.engines import build_command
from reflex_export.commands.export import export_command
from reflex_export.engines.device import Gpu, first_gpu
from reflex_export.engines.errors import PrecisionError
from reflex_export.engines.precision import check_graph, check_precision, plan_types
from reflex_export.engines.promise import promised_multiplications
from reflex_export.engines.record import LayerPrecision
from reflex_export.engines.toolkit import MODULES, Engine, installed_engine, load_toolkit
from unit.reflex_export.engines.graphs import linear

INSPECTION = {
    "Layers": [
        {"Name": "a", "Outputs": [{"Name": "x", "Format/Datatype": "Half"}]},
        {"Name": "b", "Outputs": [{"Name": "y", "Format/Datatype": "Row major linear FP16 format"}]},
        {"Name": "c", "Outputs": [{"Name": "z", "Format/Datatype": "Float"}]},
        {"Name": "d", "Outputs": []},
        "only a name",
    ]
}


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in MODULES.values():
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize(
    ("engine", "remedy"),
    [("tensorrt", "nvcr.io/nvidia/tensorrt"), ("tensorrt-rtx", r"pip install .*\[tensorrt\]'")],
)
def test_an_absent_toolkit_says_where_it_comes_from(engine: Engine, remedy: str) -> None:
    with pytest.raises(SetupError, match=f"not installed; run.*{remedy}"):
        load_toolkit(engine)


@pytest.mark.usefixtures("no_tensorrt")
def test_without_any_toolkit_both_remedies_are_named() -> None:
    with pytest.raises(
        SetupError, match=r"nvcr\.io/nvidia/tensorrt.*pip install .*\[export\].*pip install .*\[tensorrt\]"
    ):
        installed_engine()


def test_a_toolkit_whose_libraries_do_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)

    with pytest.raises(SetupError, match=r"cannot be loaded: libnvinfer\.so\.10"):
        load_toolkit("tensorrt")


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    assert first_gpu("libno-such-driver.so.1") is None


def test_a_gpus_target_is_its_architecture_and_its_model() -> None:
    assert Gpu("NVIDIA L4", (8, 9)).target == "sm89/NVIDIA L4"


def test_a_plans_layers_are_counted_by_type() -> None:
    assert plan_types(json.dumps(INSPECTION)) == {"fp16": 2, "fp32": 1}


@pytest.mark.parametrize("inspection", ["", "no JSON", "[]", "{}"])
def test_an_inspection_that_says_nothing_counts_nothing(inspection: str) -> None:
    assert plan_types(inspection) == {}


def test_an_engine_of_another_precision_than_claimed_is_refused() -> None:
    counted = {"fp32": 91, "fp16": 9}

    check_graph(counted, "fp32", "p")
    with pytest.raises(PrecisionError, match=r"p is said to be fp16, but its multiplications are 9% fp16, 91% fp32"):
        check_graph(counted, "fp16", "p")


def test_an_engine_that_computes_less_in_fp16_than_its_graph_asks_for_is_refused() -> None:
    found = LayerPrecision({"fp32": 3}, {"fp32": 2}, {"fp32": 60, "fp16": 40}, ())

    check_precision(found, {"fp32": 56, "fp16": 44}, "fp16", "p")
    with pytest.raises(PrecisionError, match=r"asks for 45% fp16, 55% fp32, but .* 40% fp16, 60% fp32.*--precision"):
        check_precision(found, {"fp32": 55, "fp16": 45}, "fp16", "p")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("external", [False, True])
def test_a_graphs_multiplications_are_counted_by_type_without_its_weights(
    tmp_path: Path, dtype: type[np.floating[Any]], *, external: bool
) -> None:
    path = linear(tmp_path / "model.onnx", dtype, external=external)
    for weights in tmp_path.glob("weights.bin"):
        weights.unlink()

    assert promised_multiplications(path) == {"fp16" if dtype is np.float16 else "fp32": 8 * 8}


def test_an_engine_of_a_graph_in_which_nothing_could_be_counted_is_held_to_what_its_policy_claims() -> None:
    single, half = ({"fp32": 91, "fp16": 9}, {"fp32": 90, "fp16": 10})

    check_precision(LayerPrecision({}, {"fp16": 1}, half, ()), {}, "fp16", "p")
    with pytest.raises(PrecisionError, match=r"p is said to be fp16, but the engine's .* 9% fp16, 91% fp32, and none "):
        check_precision(LayerPrecision({}, {"fp32": 1}, single, ()), {}, "fp16", "p")


def test_an_engine_without_products_has_no_precision_to_check() -> None:
    check_graph({}, "fp16", "p")
    check_precision(LayerPrecision({"fp32": 3}, {}, {}, ()), {}, "fp16", "p")


@pytest.mark.usefixtures("no_tensorrt")
def test_the_command_fails_with_one_json_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        build_command(tmp_path, as_json=True)

    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out)["error"] == "setup"


def test_the_command_names_a_repository_without_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        build_command(tmp_path, engine="tensorrt-rtx")

    assert "holds no policy; make one with `reflex export`" in capsys.readouterr().err


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize(
    ("engine", "remedy"),
    [("tensorrt", "nvcr.io/nvidia/tensorrt"), ("tensorrt-rtx", "[tensorrt]'")],
)
def test_an_export_for_an_absent_toolkit_says_where_it_comes_from_before_it_reads_anything(
    engine: Engine, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        export_command("a-checkpoint-that-is-not-there", ExportOptions(tmp_path / "models", engine=engine))

    assert ended.value.exit_code == 1
    assert remedy in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
