"""How far the recorded cases are from the reference, on each way and in each arithmetic: the gates on the real card."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reflex.model_repository import MODEL_FILE
from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.rows import Emit, Keys, Row, left_out_if_raised
from reflex_bench.gpu_check.ways import Way, make_session
from reflex_export.checking.parity import GATES, Parity
from reflex_export.checking.recorded import find_cases, read_case
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import UnknownFamilyError
from reflex_export.families.common import Arithmetic, FamilyGraphs
from reflex_export.families.family_graphs import build_graphs, default_steps
from reflex_export.graph.onnx_model import OnnxModel
from reflex_export.publishing.triton_config import Component, ensemble_inputs
from reflex_export.reading import read_checkpoint

__all__ = ["measure_parity"]

MASKED, COUNTED = "masks", "numbers of keys"
"""How a denoise knows which keys are valid: see docs/adr/0031."""


def measure_parity(plan: Plan, ways: Sequence[Way], golden: Path, emit: Emit) -> None:
    """A row for each checkpoint, step count, arithmetic and way: the worst of its cases."""
    for arithmetic in plan.arithmetics:
        for name, checkpoint, steps, cases in _policies(golden, plan):
            of = f"{name}, {steps} step(s), {arithmetic}"
            with left_out_if_raised(f"{of}: its graphs", emit):
                graphs = build_graphs(checkpoint, (steps,), arithmetic)
                for way, form, denoise in _denoises(ways, graphs, steps, arithmetic):
                    what = f"{of}, {way}" + (f", {form}" if form else "")
                    with left_out_if_raised(what, emit):
                        models = (graphs.preprocess, graphs.encoder, denoise)
                        parity = _parity(checkpoint, models, arithmetic, cases, way)
                        keys: Keys = {"parity": name, "steps": steps, "arithmetic": arithmetic, "way": way}
                        emit(_row(what, parity, {**keys, "form": form} if form else keys))


def _denoises(
    ways: Sequence[Way], graphs: FamilyGraphs, steps: int, arithmetic: Arithmetic
) -> Iterator[tuple[Way, str, OnnxModel]]:
    """The form that is served on each way; the processor computes both of them."""
    counted = graphs.counted(steps) if graphs.counted else None
    for way in ways:
        is_counted = way == "cuda" and arithmetic == "fp16"
        if counted is None:
            yield way, "", graphs.denoise[steps]
            continue
        if not is_counted:
            yield way, MASKED, graphs.denoise[steps]
        if is_counted or way == "cpu":
            yield way, COUNTED, counted


def _row(what: str, parity: Parity, keys: Keys) -> Row:
    note = f"{parity.verdict}, gate {parity.gate.max_abs:.0e}, {parity.cases} case(s), worst {parity.worst}"
    return Row(what, parity.max_abs, "max-abs", note, {**keys, "verdict": parity.verdict})


def _policies(golden: Path, plan: Plan) -> Iterator[tuple[str, Checkpoint, int, Sequence[Path]]]:
    """The five checkpoints first, their variants last."""
    folders = {path.parent for path in golden.rglob("case_*.npz")}
    for folder in sorted(folders, key=lambda folder: (len(folder.parts), folder)):
        try:
            checkpoint = read_checkpoint(folder)
        except UnknownFamilyError:
            continue
        by_steps: defaultdict[int, list[Path]] = defaultdict(list)
        for path in find_cases(folder)[: plan.cases]:
            by_steps[read_case(path, checkpoint, ()).steps or default_steps(checkpoint)].append(path)
        if plan.cases is None or len(folder.relative_to(golden).parts) == 1:
            for steps, cases in by_steps.items():
                yield folder.relative_to(golden).as_posix(), checkpoint, steps, cases


def _parity(
    checkpoint: Checkpoint, models: Sequence[OnnxModel], arithmetic: Arithmetic, cases: Sequence[Path], way: Way
) -> Parity:
    wanted = ensemble_inputs([Component("model", model.inputs, model.outputs, 1) for model in models])
    parity = Parity(GATES["fp32" if arithmetic == "fp32" else "fp16"], "recorded cases")
    with tempfile.TemporaryDirectory(prefix="reflex-gpu-check-") as scratch:
        sessions = []
        for number, model in enumerate(models):
            folder = Path(scratch, str(number))
            folder.mkdir()
            model.save(folder)
            sessions.append(make_session(folder / MODEL_FILE, way if number else "cpu"))
        for path in cases:
            case = read_case(path, checkpoint, wanted)
            parity.compare(case.name, _run(sessions, case.inputs)["actions_normalized"], case.actions_normalized)
    return parity


def _run(sessions: Sequence[Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """As the ensemble: one model after the other, tensors by name."""
    known = dict(inputs)
    for session in sessions:
        names = [value.name for value in session.get_outputs()]
        feeds = {value.name: known[value.name] for value in session.get_inputs()}
        known.update(zip(names, session.run(names, feeds), strict=True))
    return known
