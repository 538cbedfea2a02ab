"""`make parity-table`: how far the exported graphs are from the reference, as the Markdown tables of docs/parity.md.

    python -m reflex_bench.parity_table GOLDEN_FOLDER

Takes every folder below GOLDEN_FOLDER that holds recorded cases beside their checkpoint, builds the graphs for each
case's step count in FP32 and FP16, runs them in ONNX Runtime on the CPU, and compares the normalised chunks. FP16 runs
twice: as ONNX Runtime does it, and with every FP16 value rounded. Of the arithmetics of a precision the fastest is
taken that an export takes: in both all cases of a step count pass, with a margin where a safer one is left. What was
passed over is in the first table too.
Prints what it measured whether a gate is met or not; exits 1 when there is nothing to measure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

from reflex.model_repository import MODEL_FILE
from reflex.policy_config import TensorConfig
from reflex_export.checking.parity import GATES, Parity, PolicyRunner
from reflex_export.checking.recorded import RecordedCase, find_cases, read_case
from reflex_export.checking.rounding import RoundedRunner, Runner
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import UnknownFamilyError
from reflex_export.families.common import ARITHMETICS, Arithmetic, FamilyGraphs, Precision, arithmetics_of
from reflex_export.families.family_graphs import build_graphs, default_steps
from reflex_export.publishing.triton_config import Component, ensemble_inputs
from reflex_export.reading import read_checkpoint

__all__ = ["Row", "main", "measured_rows", "summary_of", "table_of"]

COLUMNS: Final = ("checkpoint", "case", "steps", "arithmetic", "cosine", "max-abs", "rounded max-abs", "gate")
SUMMARY_COLUMNS: Final = (
    *("family", "arithmetic", "lowest cosine", "max-abs", "rounded max-abs", "cases passed"),
    "enough for",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One case in one arithmetic, measured on the normalised chunk."""

    family: str
    checkpoint: str
    case: str
    steps: int
    arithmetic: Arithmetic
    cosine: float
    """The lower of the two runs."""
    max_abs: float
    rounded_max_abs: float
    """With every FP16 value rounded; the same as `max_abs` in FP32."""
    verdict: str
    has_margin: bool
    """Whether an error of twice the size would pass as well."""
    is_taken: bool = True
    """False where another arithmetic was needed."""

    def __str__(self) -> str:
        figures = f"{_cut(self.cosine)} | {self.max_abs:.1e} | {self.rounded_max_abs:.1e}"
        return f"| {self.checkpoint} | {self.case} | {self.steps} | {self.arithmetic} | {figures} | {self.verdict} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.parity_table", description=__doc__)
    parser.add_argument("golden", type=Path, metavar="GOLDEN_FOLDER", help="checkpoints with recorded cases")
    rows = list(measured_rows(parser.parse_args().golden))
    if not rows:
        print("no folder there holds case_*.npz beside a checkpoint that can be exported", file=sys.stderr)
        return 1
    print(summary_of(rows), "", table_of(rows), sep="\n")
    return 0


def summary_of(rows: Sequence[Row]) -> str:
    """The worst of each family and arithmetic, as a Markdown table."""
    order: Sequence[Arithmetic] = get_args(Arithmetic)
    groups: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[order.index(row.arithmetic), row.family].append(row)
    return _table(SUMMARY_COLUMNS, (_worst(group) for _, group in sorted(groups.items())))


def table_of(rows: Iterable[Row]) -> str:
    """The rows that were taken, as a Markdown table."""
    return _table(COLUMNS, (str(row) for row in rows if row.is_taken))


def measured_rows(golden: Path) -> Iterator[Row]:
    """Every checkpoint, precision and case; what cannot be exported is named on stderr and left out."""
    for folder in sorted({path.parent for path in golden.rglob("case_*.npz")}):
        try:
            checkpoint = read_checkpoint(folder)
        except UnknownFamilyError as exc:
            print(f"{folder}: {exc}", file=sys.stderr)
            continue
        by_steps: defaultdict[int, list[Path]] = defaultdict(list)
        for path in find_cases(folder):
            by_steps[read_case(path, checkpoint, ()).steps or default_steps(checkpoint)].append(path)
        for precision in ARITHMETICS:
            for steps, cases in by_steps.items():
                yield from _policy_rows(folder.relative_to(golden).as_posix(), checkpoint, precision, steps, cases)


def _policy_rows(
    name: str, checkpoint: Checkpoint, precision: Precision, steps: int, cases: Sequence[Path]
) -> Iterator[Row]:
    """One policy: arithmetic after arithmetic, until all of its cases pass with a margin, or none is left."""
    several = arithmetics_of(checkpoint.family, precision)
    for arithmetic in several:
        rows = list(_measured(name, checkpoint, arithmetic, steps, cases))
        is_enough = all(row.has_margin for row in rows) or arithmetic == several[-1]
        yield from rows if is_enough else (replace(row, is_taken=False) for row in rows)
        if is_enough:
            return


def _measured(
    name: str, checkpoint: Checkpoint, arithmetic: Arithmetic, steps: int, cases: Sequence[Path]
) -> Iterator[Row]:
    graphs = build_graphs(checkpoint, (steps,), arithmetic)
    with _saved(graphs, steps) as paths:
        for path in cases:
            case = read_case(path, checkpoint, _inputs(graphs, steps))
            plain = _parity(PolicyRunner(paths), case, arithmetic)
            rounded = plain if arithmetic == "fp32" else _parity(RoundedRunner(paths), case, arithmetic)
            yield Row(
                family=checkpoint.family,
                checkpoint=name,
                case=case.name,
                steps=steps,
                arithmetic=arithmetic,
                cosine=min(plain.cosine, rounded.cosine),
                max_abs=plain.max_abs,
                rounded_max_abs=rounded.max_abs,
                verdict="passed" if {plain.verdict, rounded.verdict} == {"passed"} else "failed",
                has_margin=plain.has_margin and rounded.has_margin,
            )


def _parity(runner: Runner, case: RecordedCase, arithmetic: Arithmetic) -> Parity:
    parity = Parity(GATES["fp32" if arithmetic == "fp32" else "fp16"], "recorded cases")
    parity.compare(case.name, runner.run(case.inputs)["actions_normalized"], case.actions_normalized)
    return parity


def _worst(group: Sequence[Row]) -> str:
    family, arithmetic = group[0].family, group[0].arithmetic
    worst = (max(row.max_abs for row in group), max(row.rounded_max_abs for row in group))
    passed = sum(row.verdict == "passed" for row in group)
    policies: Mapping[tuple[str, int], bool] = {(row.checkpoint, row.steps): row.is_taken for row in group}
    figures = f"{_cut(min(row.cosine for row in group))} | {worst[0]:.1e} | {worst[1]:.1e}"
    taken = f"{sum(policies.values())} of {len(policies)} policies"
    return f"| {family} | {arithmetic} | {figures} | {passed} of {len(group)} | {taken} |"


def _table(columns: Sequence[str], lines: Iterable[str]) -> str:
    return "\n".join((f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines))


def _cut(cosine: float) -> str:
    """Cut, not rounded: 0.99999999 is not 1."""
    return f"{int(cosine * 1e8) / 1e8:.8f}"


def _inputs(graphs: FamilyGraphs, steps: int) -> tuple[TensorConfig, ...]:
    models = (graphs.preprocess, graphs.encoder, graphs.denoise[steps])
    return ensemble_inputs([Component("model", model.inputs, model.outputs, 1) for model in models])


@contextmanager
def _saved(graphs: FamilyGraphs, steps: int) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="reflex-parity-") as scratch:
        paths = []
        for role, model in (("p", graphs.preprocess), ("e", graphs.encoder), ("d", graphs.denoise[steps])):
            Path(scratch, role).mkdir()
            model.save(Path(scratch, role))
            paths.append(Path(scratch, role, MODEL_FILE))
        yield paths


if __name__ == "__main__":
    sys.exit(main())
