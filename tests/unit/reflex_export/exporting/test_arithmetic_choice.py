"""FP16 keeps away from its gate by what a GPU may round more than its simulation, or a safer arithmetic is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from reflex.export_options import ExportOptions
from reflex_export.checking.parity import Gate, Parity, gate_of
from reflex_export.errors import ParityError
from reflex_export.exporting.arithmetic_choice import Choice
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.families.common import ARITHMETICS, Arithmetic, arithmetics_of
from reflex_export.families.family_graphs import build_graphs
from support.checkpoints.golden import golden_checkpoint, golden_folder
from support.checkpoints.planar import two_axes
from support.checkpoints.sessions import each_graph_loaded_once

GATE: Final = gate_of("fp16")
ON_THE_CARD: Final[Mapping[tuple[str, int], Mapping[Arithmetic, float]]] = {
    ("smolvla", 10): {"fp16": 6.1e-3, "fp16_mlp": 2.4e-3},
    ("smolvla", 5): {"fp16": 8.4e-3, "fp16_mlp": 4.0e-3},
    ("smolvla", 4): {"fp16": 5.8e-3, "fp16_mlp": 1.8e-3},
    ("smolvla", 2): {"fp16": 6.1e-3, "fp16_mlp": 4.0e-3},
    ("smolvla", 1): {"fp16": 2.8e-2, "fp16_mlp": 4.6e-3},
    ("pi0", 10): {"fp16": 4.0e-3, "fp16_mlp": 1.3e-3},
    ("pi0", 5): {"fp16": 5.5e-3, "fp16_mlp": 2.1e-3},
    ("pi0", 4): {"fp16": 2.6e-3, "fp16_mlp": 1.0e-3},
    ("pi0", 2): {"fp16": 4.8e-3, "fp16_mlp": 1.7e-3},
    ("pi0", 1): {"fp16": 4.7e-3, "fp16_mlp": 2.6e-3},
    ("pi05", 10): {"fp16": 1.5e-3, "fp16_mlp": 0.8e-3},
    ("pi05", 5): {"fp16": 1.8e-3, "fp16_mlp": 0.6e-3},
    ("pi05", 4): {"fp16": 1.8e-3, "fp16_mlp": 1.0e-3},
    ("pi05", 2): {"fp16": 1.3e-3, "fp16_mlp": 0.4e-3},
    ("pi05", 1): {"fp16": 2.0e-3, "fp16_mlp": 1.0e-3},
    ("act", 1): {"fp16": 3.6e-3, "fp16_mlp": 2.6e-3},
    ("diffusion", 20): {"fp16": 2.7e-3, "fp16_mlp": 2.7e-3},
}
"""Max-abs of all recorded cases on an H200 (ONNX Runtime CUDA, without TF32, 2026-11-27), by family and steps."""
HAS_STEPS: Final = ("smolvla", "pi0", "pi05")
QUICK: Final = {("smolvla", 10), ("pi0", 5), ("pi05", 10), ("act", 1), ("diffusion", 20)}
"""One of each family, those that parted the simulation from the card among them; `make whole-runs` has them all."""


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with each_graph_loaded_once():
        yield


def measured(max_abs: float, cosine: float = 1.0) -> Parity:
    return Parity(GATE, "recorded cases", cosine, max_abs, "case_0", cases=1)


@pytest.mark.parametrize(
    ("name", "steps"),
    [pytest.param(*key, marks=() if key in QUICK else pytest.mark.slow) for key in ON_THE_CARD],
)
def test_what_the_export_chooses_by_itself_meets_the_gate_on_the_card(name: str, steps: int, tmp_path: Path) -> None:
    robot = two_axes(tmp_path / "two.json") if name == "diffusion" else "so101"
    options = ExportOptions(
        tmp_path / "models", "arm", robot, precision="fp16", steps=(steps,) if name in HAS_STEPS else (),
        cases=golden_folder(name), units_checked=True, dry_run=True,
    )  # fmt: skip

    (config,) = export_checkpoint(golden_checkpoint(name), options).policies

    parity = config.parity or {}
    chosen = next(one for one in ARITHMETICS["fp16"] if one == parity["arithmetic"])
    assert config.denoising_steps == steps
    assert parity["verdict"] == "passed"
    assert float(parity["max_abs"]) <= GATE.max_abs
    assert ON_THE_CARD[name, steps][chosen] <= GATE.max_abs
    if "passed_over" not in parity and name != "diffusion":
        assert float(parity["max_abs"]) <= GATE.max_abs / 2


@pytest.mark.parametrize(
    ("figure", "is_safest", "is_enough"),
    [(2.4e-3, False, True), (2.6e-3, False, False), (2.6e-3, True, True), (4.9e-3, True, True), (5.1e-3, True, False)],
)
def test_half_of_the_gate_is_trusted_while_something_safer_is_left(
    figure: float, is_safest: bool, is_enough: bool
) -> None:
    choice = Choice("fp16", is_safest)

    assert choice.is_enough(measured(figure)) is is_enough
    assert choice.record(measured(figure))["margin"] == ("kept" if figure < 2.5e-3 else "used up")


def test_an_angle_that_a_twice_larger_error_would_open_too_far_has_no_margin() -> None:
    assert Gate(0.99999, 5e-3).with_margin() == Gate(pytest.approx(0.9999975), 2.5e-3)  # type: ignore[arg-type]
    assert measured(1e-3, cosine=0.999998).has_margin
    assert not measured(1e-3, cosine=0.999995).has_margin
    assert measured(1e-3, cosine=0.999995).verdict == "passed"


def test_fp32_has_no_margin_to_keep() -> None:
    parity = Parity(gate_of("fp32"), "recorded cases", 1.0, 9e-5, "case_0", cases=1)

    assert Choice("fp32", is_safest=True).is_enough(parity)
    assert "margin" not in Choice("fp32", is_safest=True).record(parity)


def test_what_was_compared_with_nothing_is_published_and_says_so() -> None:
    choice, parity = Choice("fp16", is_safest=False), Parity(GATE, "nothing")

    assert choice.is_enough(parity)
    assert choice.record(parity) == {"verdict": "not checked"}


def test_the_record_says_what_was_passed_over_and_by_which_figure() -> None:
    fast = Choice("fp16", is_safest=False)
    with pytest.raises(ParityError) as missed:
        fast.require("arm", measured(3.8e-3))

    figure = missed.value.figure
    assert figure == "3.8e-03 from recorded cases, at most 2.5e-03 (half of the gate 5.0e-03) is trusted"
    safe = Choice("fp16_mlp", is_safest=True, passed_over=f"fp16: {figure}")
    assert safe.record(measured(1e-3)) == measured(1e-3).record() | {
        "arithmetic": "fp16_mlp", "margin": "kept", "passed_over": f"fp16: {figure}",
    }  # fmt: skip


def test_a_family_without_anything_safer_says_so_where_it_misses() -> None:
    with pytest.raises(ParityError, match=r"no safer FP16\. Try other --steps.*--precision fp32"):
        Choice("fp16", is_safest=True).require("arm", measured(6e-3))


@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05", "act", "diffusion"])
def test_a_family_has_as_many_arithmetics_as_make_different_graphs(name: str) -> None:
    checkpoint = golden_checkpoint(name)
    made = [build_graphs(checkpoint, (1,), arithmetic) for arithmetic in ARITHMETICS["fp16"]]

    different = {(graphs.encoder.content, graphs.denoise[1].content) for graphs in made}

    assert len(arithmetics_of(checkpoint.family, "fp16")) == len(different)
    assert arithmetics_of(checkpoint.family, "fp32") == ("fp32",)
