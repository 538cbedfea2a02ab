"""`make parity-table`: how far the exported graphs are from the reference, as the Markdown table of docs/parity.md.

    python -m reflex_bench.parity_table GOLDEN_FOLDER

Takes every folder below GOLDEN_FOLDER that holds recorded cases beside their checkpoint, builds the graphs for each
case's step count in FP32 and FP16, runs them in ONNX Runtime on the CPU, and compares the normalised chunks.
Prints what it measured whether a gate is met or not; exits 1 when there is nothing to measure.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from reflex.policy_config import TensorConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import UnknownFamilyError
from reflex_export.families.common import FamilyGraphs, Precision
from reflex_export.parity import GATES, Parity, PolicyRunner
from reflex_export.pipeline import default_steps
from reflex_export.reading import read_checkpoint
from reflex_export.recorded import RecordedCase, find_cases, read_case
from reflex_export.triton_config import Component, ensemble_inputs

__all__ = ["Row", "main", "measured_rows", "table_of"]

PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
HEADER: Final = "| checkpoint | case | steps | precision | cosine | max-abs | gate |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Row:
    """One case in one precision, measured on the normalised chunk."""

    checkpoint: str
    case: str
    steps: int
    precision: Precision
    cosine: float
    max_abs: float
    verdict: str

    def __str__(self) -> str:
        # Cut, not rounded: 0.99999999 is not 1.
        cosine = f"{int(self.cosine * 1e8) / 1e8:.8f}"
        return (
            f"| {self.checkpoint} | {self.case} | {self.steps} | {self.precision} "
            f"| {cosine} | {self.max_abs:.1e} | {self.verdict} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.parity_table", description=__doc__)
    parser.add_argument("golden", type=Path, metavar="GOLDEN_FOLDER", help="checkpoints with recorded cases")
    rows = list(measured_rows(parser.parse_args().golden))
    if not rows:
        print("no folder there holds case_*.npz beside a checkpoint that can be exported", file=sys.stderr)
        return 1
    print(table_of(rows))
    return 0


def table_of(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    return "\n".join((HEADER, *(str(row) for row in rows)))


def measured_rows(golden: Path) -> Iterator[Row]:
    """Every checkpoint, precision and case; what cannot be exported is named on stderr and left out."""
    for folder in sorted({path.parent for path in golden.rglob("case_*.npz")}):
        try:
            checkpoint = read_checkpoint(folder)
        except UnknownFamilyError as exc:
            print(f"{folder}: {exc}", file=sys.stderr)
            continue
        for precision in PRECISIONS:
            yield from _measured(folder.relative_to(golden).as_posix(), folder, checkpoint, precision)


def _measured(name: str, folder: Path, checkpoint: Checkpoint, precision: Precision) -> Iterator[Row]:
    cases = [(path, _steps_of(path, checkpoint)) for path in find_cases(folder)]
    family = importlib.import_module(f"reflex_export.families.{checkpoint.family}")
    graphs: FamilyGraphs = family.build(checkpoint, steps=sorted({steps for _, steps in cases}), precision=precision)
    for path, steps in cases:
        case = read_case(path, checkpoint, _inputs(graphs, steps))
        parity = _parity(graphs, steps, case, precision)
        yield Row(name, case.name, steps, precision, parity.cosine, parity.max_abs, parity.verdict)


def _steps_of(path: Path, checkpoint: Checkpoint) -> int:
    return read_case(path, checkpoint, ()).steps or default_steps(checkpoint)


def _inputs(graphs: FamilyGraphs, steps: int) -> tuple[TensorConfig, ...]:
    models = (graphs.preprocess, graphs.encoder, graphs.denoise[steps])
    return ensemble_inputs([Component("model", model.inputs, model.outputs, {}, 1) for model in models])


def _parity(graphs: FamilyGraphs, steps: int, case: RecordedCase, precision: Precision) -> Parity:
    parity = Parity(GATES[precision], "recorded cases")
    with tempfile.TemporaryDirectory(prefix="reflex-parity-") as scratch:
        paths = []
        for role, model in (("p", graphs.preprocess), ("e", graphs.encoder), ("d", graphs.denoise[steps])):
            Path(scratch, role).mkdir()
            model.save(Path(scratch, role))
            paths.append(Path(scratch, role, "model.onnx"))
        parity.compare(case.name, PolicyRunner(paths).run(case.inputs)["actions_normalized"], case.actions_normalized)
    return parity


if __name__ == "__main__":
    sys.exit(main())
