"""The gate between a policy and its publication: how far its chunks may be from the trained one's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from reflex.errors import RepositoryError
from reflex.policy_config import PolicyConfig
from reflex_export.checking import parity as checking
from reflex_export.checking.parity import Gate, Parity, PolicyRunner, gate_of
from reflex_export.checking.serving_device import ServingDevice
from reflex_export.errors import DeviceError
from reflex_export.graph.graph import GraphBuilder

Chunk = npt.NDArray[np.float32]
EXPECTED = np.array([[[3.0, 4.0], [0.0, -5.0]]], np.float32)


@pytest.fixture
def parity() -> Parity:
    return Parity(Gate(cosine=0.99, max_abs=0.5), "recorded cases")


def shifted(by: float) -> Chunk:
    """The expected chunk, its first value off by `by`."""
    chunk = EXPECTED.copy()
    chunk[0, 0, 0] += np.float32(by)
    return chunk


def test_the_gates_are_those_that_the_documents_promise() -> None:
    assert gate_of("fp32") == Gate(cosine=0.99999, max_abs=1e-4)
    assert gate_of("fp16") == Gate(cosine=0.99999, max_abs=5e-3)
    assert gate_of("bf16") == gate_of("fp16")


def test_without_a_case_nothing_has_passed(parity: Parity) -> None:
    assert parity.verdict == "not checked"
    assert parity.record() == {"verdict": "not checked"}
    assert (parity.cases, parity.cosine, parity.max_abs) == (0, 1.0, 0.0)


def test_the_same_chunk_passes(parity: Parity) -> None:
    parity.compare("case_0", EXPECTED, EXPECTED)

    assert (parity.verdict, parity.max_abs, parity.worst, parity.cases) == ("passed", 0.0, "case_0", 1)
    assert parity.cosine == pytest.approx(1.0)


def test_the_cosine_is_that_of_the_whole_chunk(parity: Parity) -> None:
    found = np.array([[[4.0, 3.0], [0.0, -5.0]]], np.float32)

    parity.compare("case_0", found, EXPECTED)

    assert parity.cosine == pytest.approx(49 / 50)
    assert parity.max_abs == 1.0


@pytest.mark.parametrize(("by", "verdict"), [(0.5, "passed"), (-0.5, "passed"), (0.51, "failed"), (-0.51, "failed")])
def test_a_value_may_be_off_by_as_much_as_the_gate_allows(parity: Parity, by: float, verdict: str) -> None:
    parity.compare("case_0", shifted(by), EXPECTED)

    assert parity.verdict == verdict


def test_a_cosine_at_the_gate_passes_and_one_below_fails() -> None:
    for gate, verdict in ((0.8, "passed"), (0.81, "failed")):
        parity = Parity(Gate(cosine=gate, max_abs=9.0), "recorded cases")
        parity.compare("case_0", np.array([1.0, 0.0], np.float32), np.array([4.0, 3.0], np.float32))
        assert (parity.cosine, parity.verdict) == (0.8, verdict)


@pytest.mark.parametrize("worst", [0, 1, 2])
def test_one_case_that_is_off_fails_wherever_it_comes(parity: Parity, worst: int) -> None:
    for number in range(3):
        parity.compare(f"case_{number}", shifted(2.0 if number == worst else 0.25), EXPECTED)

    assert (parity.verdict, parity.max_abs, parity.worst) == ("failed", 2.0, f"case_{worst}")
    assert parity.cosine == pytest.approx(float(np.dot([5, 4, -5], [3, 4, -5]) / np.sqrt(66 * 50)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_one_chunk_that_is_not_finite_fails_wherever_it_comes(parity: Parity, where: int, value: float) -> None:
    for number in range(3):
        parity.compare(f"case_{number}", shifted(value if number == where else 0.25), EXPECTED)

    assert parity.verdict == "failed"
    assert parity.worst == f"case_{where}"
    assert not np.isfinite(parity.max_abs)


def test_a_chunk_that_is_not_finite_fails_after_one_that_was_far_off(parity: Parity) -> None:
    parity.compare("case_0", shifted(9.0), EXPECTED)
    parity.compare("case_1", shifted(np.nan), EXPECTED)
    parity.compare("case_2", shifted(99.0), EXPECTED)

    assert (parity.verdict, parity.worst) == ("failed", "case_1")
    assert np.isnan(parity.max_abs)
    assert np.isnan(parity.cosine)


def test_infinities_in_both_chunks_are_no_agreement(parity: Parity) -> None:
    parity.compare("case_0", shifted(np.inf), shifted(np.inf))

    assert parity.verdict == "failed"


def test_a_chunk_of_zeros_agrees_with_zeros_only(parity: Parity) -> None:
    zeros = np.zeros_like(EXPECTED)
    parity.compare("case_0", zeros, zeros)
    assert (parity.verdict, parity.cosine) == ("passed", 1.0)

    parity.compare("case_1", zeros, EXPECTED)
    assert (parity.verdict, parity.max_abs, parity.cosine) == ("failed", 5.0, 0.0)


def test_of_cases_that_are_equally_far_off_the_first_is_named(parity: Parity) -> None:
    parity.compare("case_0", shifted(0.25), EXPECTED)
    parity.compare("case_1", shifted(0.25), EXPECTED)

    assert parity.worst == "case_0"


def test_the_record_holds_the_worst_of_all_cases_and_the_gate(parity: Parity) -> None:
    parity.compare("case_0", shifted(0.25), EXPECTED)
    parity.compare("case_1", EXPECTED, EXPECTED)
    parity.skipped.append("case_2")

    assert parity.record() == {
        "verdict": "passed",
        "left_out": 1.0,
        "against": "recorded cases",
        "cases": 2.0,
        "cosine": parity.cosine,
        "max_abs": 0.25,
        "worst": "case_0",
        "gate_cosine": 0.99,
        "gate_max_abs": 0.5,
    }


@pytest.mark.parametrize(("value", "told"), [(np.nan, "nan"), (np.inf, "inf")])
def test_what_is_not_finite_is_recorded_in_a_word_that_json_and_a_policys_configuration_can_hold(
    parity: Parity, demo: PolicyConfig, value: float, told: str
) -> None:
    parity.compare("case_0", shifted(value), EXPECTED)

    kept = demo.model_copy(update={"parity": parity.record()}).model_dump_json()

    record = PolicyConfig.model_validate_json(kept).parity
    assert record is not None
    assert (record["max_abs"], record["cosine"]) == (told, "nan")


def test_cases_that_were_left_out_are_recorded_where_none_was_compared(parity: Parity) -> None:
    parity.skipped.extend(("case_0", "case_1"))

    assert parity.record() == {"verdict": "not checked", "left_out": 2.0}


def model(folder: Path, operator: str, source: str, result: str, *, size: int = 2) -> Path:
    g = GraphBuilder(operator)
    g.output(g.op(operator, g.input(source, "FP32", (size,))), result, "FP32", (size,))
    folder.mkdir(parents=True)
    g.build().save(folder)
    return folder / "model.onnx"


def test_models_run_in_their_order_and_all_their_tensors_come_out(tmp_path: Path) -> None:
    models = [model(tmp_path / "1", "Neg", "x", "y"), model(tmp_path / "2", "Abs", "y", "z")]

    found = PolicyRunner(models).run({"x": np.array([[1.0, 2.0]], np.float32)})

    assert {name: array.tolist() for name, array in found.items()} == {
        "x": [[1.0, 2.0]], "y": [[-1.0, -2.0]], "z": [[1.0, 2.0]],
    }  # fmt: skip


def test_a_request_must_bring_what_no_model_before_gives(tmp_path: Path) -> None:
    models = [model(tmp_path / "1", "Neg", "x", "y"), model(tmp_path / "2", "Abs", "y", "z"),
              model(tmp_path / "3", "Exp", "w", "v", size=3)]  # fmt: skip

    wanted = PolicyRunner(models).inputs()

    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in wanted] == [
        ("x", "FP32", (2,)),
        ("w", "FP32", (3,)),
    ]


def test_a_repositorys_policy_runs_as_preprocess_encoder_and_denoise(tmp_path: Path, demo: PolicyConfig) -> None:
    operators = {"preprocess": ("Neg", "x", "a"), "encoder": ("Exp", "a", "b"), "denoise": ("Neg", "b", "c")}
    for role, (operator, source, result) in operators.items():
        model(tmp_path / demo.component(role) / "1", operator, source, result)

    found = PolicyRunner.of(tmp_path, demo).run({"x": np.zeros((1, 2), np.float32)})

    assert found["c"].tolist() == [[-1.0, -1.0]]


def test_a_model_that_fails_on_a_request_is_named(tmp_path: Path) -> None:
    path = model(tmp_path / "1", "Neg", "x", "y", size=3)

    with pytest.raises(RepositoryError, match=r"fails on a request \(.*invalid dimensions.*\); export") as refusal:
        PolicyRunner([path]).run({"x": np.zeros((1, 2), np.float32)})
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(RepositoryError, match=r"cannot be loaded .*; export the policy again") as refusal:
        PolicyRunner([path])
    assert str(path) in str(refusal.value)


def test_no_thread_of_a_graph_waits_busily_for_its_next_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[onnxruntime.SessionOptions] = []
    monkeypatch.setattr(checking, "_session", lambda _path, options, _device: seen.append(options))

    PolicyRunner([Path("preprocess"), Path("denoise")])

    assert [each.get_session_config_entry("session.intra_op.allow_spinning") for each in seen] == ["0", "0"]


def test_half_a_gate_is_a_quarter_of_its_angle() -> None:
    halved = Gate(cosine=0.99, max_abs=0.5).with_margin()

    assert halved.cosine == pytest.approx(0.9975)
    assert halved.max_abs == 0.25
    assert Gate(cosine=0.99, max_abs=0.5).with_margin(5.0).max_abs == 0.1


@pytest.mark.parametrize(
    ("cosine", "max_abs", "is_met"),
    [(0.99, 0.5, True), (1.0, 0.0, True), (0.98, 0.5, False), (0.99, 0.51, False), (float("nan"), 0.0, False)],
)
def test_a_gate_is_met_by_both_figures_up_to_their_bounds(cosine: float, max_abs: float, is_met: bool) -> None:
    assert Gate(cosine=0.99, max_abs=0.5).is_met(cosine, max_abs) is is_met


@pytest.mark.parametrize(("by", "has_margin"), [(0.25, True), (0.26, False), (0.5, False)])
def test_a_comparison_has_a_margin_while_twice_its_error_would_pass(
    parity: Parity, by: float, has_margin: bool
) -> None:
    parity.gate = Gate(cosine=0.9, max_abs=0.5)
    parity.compare("case_0", shifted(by), EXPECTED)

    assert (parity.verdict, parity.has_margin) == ("passed", has_margin)


def test_what_was_compared_with_nothing_has_no_margin(parity: Parity) -> None:
    assert not parity.has_margin


def test_every_case_keeps_its_own_figure(parity: Parity) -> None:
    parity.compare("case_0", shifted(0.25), EXPECTED)
    parity.compare("case_1", EXPECTED, EXPECTED)

    assert parity.each == {"case_0": 0.25, "case_1": 0.0}


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_device_whose_provider_is_not_taken_is_refused(tmp_path: Path) -> None:
    absent = ServingDevice("GPU", (("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})))

    with pytest.raises(DeviceError, match="ONNX Runtime cannot compute on GPU"):
        PolicyRunner([model(tmp_path / "1", "Neg", "x", "y")], absent)


def test_a_model_that_fails_on_a_device_names_it_and_one_that_cannot_be_loaded_too(tmp_path: Path) -> None:
    path = model(tmp_path / "1", "Neg", "x", "y")
    with pytest.raises(DeviceError, match=r"model\.onnx fails on a request on GPU \("):
        PolicyRunner([path], ServingDevice("GPU")).run({"x": np.zeros((1, 3), np.float32)})

    path.write_bytes(b"no graph")
    with pytest.raises(DeviceError, match=r"model\.onnx cannot be loaded on GPU \("):
        PolicyRunner([path], ServingDevice("GPU"))


def test_the_worse_of_two_comparisons_is_the_one_without_a_margin_though_it_differs_by_less() -> None:
    gate = gate_of("fp16")
    plain = Parity(gate, "cases", cosine=0.999999, max_abs=2.0e-3, cases=1)
    rounded = Parity(gate, "cases", cosine=0.999996, max_abs=1.9e-3, cases=1)
    failed = Parity(gate, "cases", cosine=0.9, max_abs=1e-4, cases=1)
    assert (plain.has_margin, rounded.has_margin) == (True, False)
    assert max(plain, rounded, key=lambda one: one.badness) is rounded
    assert max(rounded, failed, key=lambda one: one.badness) is failed
