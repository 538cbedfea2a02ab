"""What is told of a policy whose arithmetic is not that of its checkpoint, and what can be done about it."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.device_parity import DeviceParityConfig, with_newest
from reflex.gpus import Device, Serving
from reflex.readiness.precision_proof import CPU, precision_proof, proof_in_words, proof_remedy
from support.checkpoints.measured import measured_on
from support.fakes import policy_config

SIMULATED = {"verdict": "passed", "max_abs": 2.3e-3, "gate_max_abs": 5e-3, "margin": "kept"}


def told(
    serving: str | None = None, *, way: Device = "cuda", form: str | None = None, **fields: Any
) -> tuple[str, str | None]:
    config = policy_config(**({"precision": "fp16", "parity": SIMULATED} | fields))
    what = None if serving is None else Serving(serving, CPU if serving == CPU else way, form)
    proof = precision_proof(config, what)
    assert proof is not None
    return proof_in_words(proof), proof_remedy(config, proof, what)


ON_CPU = Serving(CPU, CPU)


def test_fp32_that_runs_from_onnx_is_what_was_compared_and_nothing_is_said() -> None:
    assert precision_proof(policy_config(precision="fp32"), ON_CPU) is None


@pytest.mark.parametrize("max_abs", [1e-2, "nan"])
def test_fp32_that_missed_its_gate_on_a_device_is_told(max_abs: float | str) -> None:
    failed = measured_on("NVIDIA H200", verdict="failed", max_abs=max_abs, gate_max_abs=1e-4)
    passed = measured_on("NVIDIA L4", max_abs=2e-5, gate_max_abs=1e-4, measured_at="2026-11-28T00:00:00Z")
    words, remedy = told("NVIDIA H200", precision="fp32", device_parity=(failed, passed))

    assert words == f"missed its gate on NVIDIA H200, which serves: {float(max_abs):.1e} of 1e-04"
    assert remedy == "serve it on another device"
    assert told(precision="fp32", device_parity=(failed, passed))[0].startswith("missed its gate on NVIDIA H200: ")
    on_cpu = policy_config(precision="fp32", parity=SIMULATED, device_parity=(failed,))
    assert precision_proof(on_cpu, ON_CPU) is None, "a CPU runs what was compared"
    assert precision_proof(policy_config(precision="fp32", device_parity=(passed,))) is None


@pytest.mark.parametrize("serving", ["NVIDIA L4", None])
def test_fp16_that_was_only_simulated_says_so_and_which_command_measures_it(serving: str | None) -> None:
    words, remedy = told(serving)

    assert words == "FP16 only simulated on a CPU: 2.3e-03 of 5e-03"
    assert remedy == "`reflex verify REPOSITORY --policy small --device cuda` measures it on the GPU that serves"


@pytest.mark.parametrize("margin", ["kept", "used up"])
@pytest.mark.parametrize("device_parity", [(), (measured_on("NVIDIA H200"),)])
def test_a_cpu_that_serves_runs_what_was_simulated_and_nothing_is_to_be_done(
    device_parity: tuple[DeviceParityConfig, ...], margin: str
) -> None:
    words, remedy = told(CPU, device_parity=device_parity, parity=SIMULATED | {"margin": margin})

    assert words == "FP16 compared on a CPU, which serves: 2.3e-03 of 5e-03"
    assert remedy is None


@pytest.mark.parametrize("engine", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_is_not_what_a_cpu_simulated(engine: str) -> None:
    proof = precision_proof(policy_config(precision="fp16", parity=SIMULATED, engine=engine), ON_CPU)

    assert proof is not None
    assert "is_serving_device" not in proof


def test_a_simulation_that_used_the_margin_up_says_that_too() -> None:
    config = policy_config(precision="fp16", parity=SIMULATED | {"margin": "used up", "max_abs": 3e-3})
    proof = precision_proof(config)

    assert proof is not None
    assert proof["margin"] == "used up"
    assert told(parity=config.parity)[0].endswith("3.0e-03 of 5e-03, without the margin that a GPU may need")


def test_what_was_never_compared_has_no_figure() -> None:
    assert precision_proof(policy_config(precision="fp16", parity={"verdict": "not checked"})) == {
        "by": "nothing",
        "verdict": "not checked",
    }
    assert told(parity=None)[0] == "its precision compared with nothing"


@pytest.mark.parametrize(
    ("serving", "where", "is_to_be_measured"),
    [
        ("NVIDIA H200", "NVIDIA H200, which serves", False),
        ("NVIDIA L4", "NVIDIA H200, which does not serve here", True),
        (None, "NVIDIA H200", False),
    ],
)
def test_a_measurement_names_its_device_and_whether_that_one_serves(
    serving: str | None, where: str, is_to_be_measured: bool
) -> None:
    words, remedy = told(serving, device_parity=(measured_on("NVIDIA H200"),))

    assert words == f"measured on {where}: 2.4e-03 of 5e-03"
    assert (remedy is not None) is is_to_be_measured


@pytest.mark.parametrize("fields", [{}, {"provider": "cuda", "form": "model.onnx"}])
def test_what_onnx_runtime_computed_is_not_what_tensorrt_for_rtx_computes_on_the_same_card(
    fields: dict[str, Any],
) -> None:
    words, remedy = told("RTX 4090", way="trt-rtx", device_parity=(measured_on("RTX 4090", **fields),))

    by = " by cuda from model.onnx" if fields else ""
    assert words == f"measured on RTX 4090{by}, which does not serve here: 2.4e-03 of 5e-03"
    assert remedy == (
        "serve it with --device cuda, which was measured on this card; TensorRT for RTX computes otherwise"
    )
    assert told("RTX 3090", way="trt-rtx", device_parity=(measured_on("RTX 4090", **fields),))[1] == (
        "serve it with --device cuda: `reflex verify REPOSITORY --policy small --device cuda` measures that, "
        "and not what TensorRT for RTX computes"
    )


def test_fp32_that_this_card_has_passed_needs_no_word_about_another_card() -> None:
    failed = measured_on("NVIDIA L4", verdict="failed", max_abs=1e-2, gate_max_abs=1e-4)
    passed = measured_on("RTX 4090", max_abs=2e-5, gate_max_abs=1e-4)
    config = policy_config(precision="fp32", device_parity=(failed, passed))
    assert precision_proof(config, Serving("RTX 4090", "cuda")) is None
    assert precision_proof(config, Serving("RTX 4090", "trt-rtx")) is None
    assert precision_proof(config, Serving("NVIDIA L4", "cuda")) is not None
    assert precision_proof(config, Serving("NVIDIA T4", "cuda")) is not None, "of which nothing is known"


def test_two_forms_on_one_card_are_two_measurements() -> None:
    several = tuple(
        measured_on("NVIDIA H200", provider="cuda", form=form, max_abs=max_abs)
        for form, max_abs in (("model.cuda.onnx", 1e-3), ("model.onnx", 2e-3))
    )

    def words(form: str | None, *records: DeviceParityConfig) -> str:
        return told("NVIDIA H200", form=form, device_parity=records)[0]

    assert words("model.cuda.onnx", *several) == "measured on NVIDIA H200, which serves: 1.0e-03 of 5e-03"
    assert words("model.onnx", *several) == "measured on NVIDIA H200, which serves: 2.0e-03 of 5e-03"
    assert words("model.onnx", several[0]).startswith(
        "measured on NVIDIA H200 by cuda from model.cuda.onnx, which does not serve here"
    )
    assert words("model.onnx", measured_on("NVIDIA H200")).startswith("measured on NVIDIA H200, which serves")


@pytest.mark.parametrize("worse", [{"verdict": "failed", "max_abs": 6e-3}, {"verdict": "failed", "max_abs": "nan"},
                                   {"max_abs": 4e-3}])  # fmt: skip
def test_a_weaker_measurement_that_is_newer_does_not_hide_a_worse_one(worse: dict[str, Any]) -> None:
    stronger = measured_on("NVIDIA H200", against="recorded cases", **worse)
    weaker = measured_on("NVIDIA H200", max_abs=1e-3, measured_at="2026-11-28T10:00:00Z")
    for serving in ("NVIDIA H200", "NVIDIA L4", None):
        words = told(serving, device_parity=with_newest((stronger,), weaker))[0]
        assert f": {float(worse['max_abs']):.1e} of 5e-03" in words
        assert words.startswith("missed its gate on" if "verdict" in worse else "measured on")


def test_of_several_measurements_that_of_the_serving_device_counts_else_the_worst() -> None:
    several = (
        measured_on("NVIDIA L4", max_abs=1e-3, measured_at="2026-11-01T00:00:00Z"),
        measured_on("NVIDIA H200", max_abs=2e-3, measured_at="2026-11-02T00:00:00Z"),
    )

    assert told("NVIDIA L4", device_parity=several)[0].startswith("measured on NVIDIA L4, which serves: 1.0e-03")
    assert told("NVIDIA T4", device_parity=several)[0].startswith("measured on NVIDIA H200, which does not")


def test_a_gate_that_was_missed_on_a_device_is_said_with_what_to_do() -> None:
    failed = measured_on("NVIDIA H200", verdict="failed", max_abs=6.1e-3)
    words, remedy = told("NVIDIA H200", device_parity=(failed,))

    assert words == "missed its gate on NVIDIA H200, which serves: 6.1e-03 of 5e-03"
    assert remedy == "export it again with --precision fp32, or serve it on another device"


MEASURE = "`reflex verify REPOSITORY --policy small --device cuda` measures it on the GPU that serves"
INSTEAD = "export it again with --precision fp32, or serve it on another device"


@pytest.mark.parametrize(
    ("serving", "fields", "remedy"),
    [
        ({"serving": "NVIDIA L4"}, {}, MEASURE),
        ({"serving": "NVIDIA L4"}, {"precision": "fp32"}, MEASURE),
        (
            {"serving": CPU},
            {"parity": None},
            "`reflex verify REPOSITORY --policy small` says how far it is off on the CPU that serves",
        ),
        (
            {"serving": "NVIDIA L4"},
            {"engine": "tensorrt"},
            "build its engines where they serve: `reflex engines build`",
        ),
        ({"serving": "NVIDIA H200", "form": "model.onnx"}, {}, MEASURE.replace("`", "`REFLEX_CUDA_MASKS=1 ", 1)),
        ({"serving": "NVIDIA H200", "way": "trt-rtx"}, {}, INSTEAD),
        ({"serving": "NVIDIA H200"}, {}, f"{INSTEAD}, or from model.onnx by REFLEX_CUDA_MASKS=1"),
    ],
)
def test_what_another_device_has_missed_is_measured_on_the_one_that_serves(
    serving: dict[str, Any], fields: dict[str, Any], remedy: str | None
) -> None:
    kind = {"engine": "tensorrt"} if "engine" in fields else {"provider": "cuda", "form": "model.cuda.onnx"}
    missed = measured_on("NVIDIA H200", verdict="failed", max_abs=6.1e-3, **kind)

    assert told(**serving, device_parity=(missed,), **fields)[1] == remedy


def test_what_a_cpu_serves_and_nothing_compared_is_not_sent_to_a_gpu() -> None:
    assert told(CPU, parity=None)[1] == (
        "`reflex verify REPOSITORY --policy small` says how far it is off on the CPU that serves"
    )


def test_an_engine_is_proven_by_no_measurement_of_the_onnx() -> None:
    words, remedy = told(engine="tensorrt", parity=None, device_parity=(measured_on("NVIDIA H200"),))

    assert words == "its precision compared with nothing"
    assert remedy == "build its engines where they serve: `reflex engines build`"
    assert told(engine="tensorrt", device_parity=(measured_on("NVIDIA H200", engine="tensorrt"),))[1] is None
