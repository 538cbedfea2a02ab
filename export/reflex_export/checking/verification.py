"""`reflex verify`: does a policy in a repository compute what its checkpoint says, and if not, where does it part?

It is held against recorded cases, or against the checkpoint's FP32 graphs on generated observations. Where it parts
is always found with the FP32 graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex.interruption import scratch_folder
from reflex.model_repository import MODEL_FILE, model_file
from reflex.numerics import max_abs
from reflex.policy_config import COMPONENT_ROLES, PolicyConfig
from reflex.readiness.servable import require_same_inputs
from reflex_export.checking.comparison import compare_with_cases, running
from reflex_export.checking.first_difference import FirstDifference, first_difference
from reflex_export.checking.memory import available_bytes, check_bytes, require_memory
from reflex_export.checking.observations import varied_inputs
from reflex_export.checking.parity import Parity, PolicyRunner, gate_of
from reflex_export.checking.recorded import read_case
from reflex_export.checking.served_form import served_form
from reflex_export.checking.serving_device import PROCESSOR, ServingDevice
from reflex_export.checking.tapped import write_tapped
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import arithmetic_of
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import Array
from reflex_export.progress import Progress, Stage, unseen

__all__ = ["Verification", "verify_policy"]

SAME_ANSWER: Final = 0.1
"""Of the gate: how near graphs that are built again must come to the published ones to speak for them."""

SAME_AS_FP32: Final = (
    "the policy agrees with the checkpoint's FP32 graphs: the recordings are of another checkpoint or processor, "
    "or the export itself is wrong"
)
NO_STEPS: Final = (
    "graphs that are built again from the checkpoint do not answer as the published ones do, so the place inside "
    "the component cannot be told"
)


NOT_INSIDE: Final = "the place inside the component cannot be told, since the policy with taps does not run here"
NOT_COMPARED: Final = "where the policy parts from its checkpoint cannot be told"


@dataclass(frozen=True)
class Verification:
    """What was found."""

    parity: Parity
    first_difference: FirstDifference | None
    """None when every tensor that was compared is within its bound, or when nothing had to be located."""
    note: str = ""
    """What the reader should know about it."""
    form: str = MODEL_FILE
    """The file of the denoise graph that ran."""

    def record(self) -> dict[str, object]:
        """For programs."""
        found = self.first_difference
        place = found.record() if found else None
        return {**self.parity.record(), "first_difference": place, "note": self.note}


def verify_policy(
    repository: Path,
    config: PolicyConfig,
    checkpoint: Checkpoint,
    cases: Path | None,
    progress: Progress = unseen,
    device: ServingDevice = PROCESSOR,
) -> Verification:
    """Run the policy's ONNX models on the device; `SetupError` when something of what that needs is missing."""
    progress(Stage("loading the policy"))
    models = _Models(repository, config, checkpoint, device, progress)
    found = _against_fp32(models, progress) if cases is None else _against_cases(models, cases, progress)
    return replace(found, form=models.form)


def _against_cases(models: _Models, cases: Path, progress: Progress) -> Verification:
    config, checkpoint = models.config, models.checkpoint
    parity = Parity(gate_of(config.precision), "recorded cases")
    compare_with_cases(parity, models.runner, config, checkpoint, cases, progress)
    if parity.verdict != "failed":
        return Verification(parity, None)
    worst = read_case(cases / f"{parity.worst}.npz", checkpoint, config.inputs)
    try:
        found, note = _locate(models, {worst.name: worst.inputs}, progress)
    except (SetupError, OSError) as exc:  # what was measured is measured
        return Verification(parity, None, f"{NOT_COMPARED}: {exc}")
    return Verification(parity, found, note or ("" if found else SAME_AS_FP32))


class _Models:
    """The published policy, and how to make what it is compared with."""

    def __init__(
        self, repository: Path, config: PolicyConfig, checkpoint: Checkpoint, device: ServingDevice, progress: Progress
    ) -> None:
        self.config, self.checkpoint, self.device = config, checkpoint, device
        self.paths = {role: model_file(repository, config.component(role)) for role in COMPONENT_ROLES}
        self.runner, self.form = served_form(self.paths, device, progress)
        require_same_inputs(f"the ONNX of {config.policy_id}", self.runner.inputs(), config)

    def fp32(self, afterwards: ExitStack) -> PolicyRunner:
        """The checkpoint's FP32 graphs, with taps, on the CPU."""
        steps = self.config.denoising_steps
        graphs = build_graphs(self.checkpoint, (steps,), "fp32", taps=True)
        needed = check_bytes(graphs, "fp32") * (2 if self.config.precision == "fp32" else 1)
        require_memory(needed, available_bytes())
        return afterwards.enter_context(running(graphs, steps))

    def tapped(self, folder: Path) -> PolicyRunner | None:
        """The published policy with taps, where its graphs can be built again."""
        if self.config.precision == "bf16":
            return None
        steps = self.config.denoising_steps
        graphs = build_graphs(self.checkpoint, (steps,), arithmetic_of(self.config), taps=True)
        paths: list[Path | None] = [self.paths["preprocess"]]
        for role, graph in (("encoder", graphs.encoder), ("denoise", graphs.denoise[steps])):
            (folder / role).mkdir()
            paths.append(write_tapped(graph, self.paths[role], folder / role))
        whole = [path for path in paths if path is not None]
        return PolicyRunner(whole, self.device) if len(whole) == len(paths) else None


def _against_fp32(models: _Models, progress: Progress) -> Verification:
    config = models.config
    parity = Parity(gate_of(config.precision), "the FP32 graphs")
    observations = dict(varied_inputs(config, models.checkpoint))
    found, note = _locate(models, observations, progress, parity)
    return Verification(parity, found, note)


def _locate(
    models: _Models, observations: Mapping[str, Mapping[str, Array]], progress: Progress, parity: Parity | None = None
) -> tuple[FirstDifference | None, str]:
    """The earliest difference of all observations; `parity`, when given, counts their chunks."""
    progress(Stage("building the FP32 graphs"))
    with ExitStack() as afterwards:
        exact = models.fp32(afterwards)
        earliest: FirstDifference | None = None
        for number, (name, inputs) in enumerate(observations.items()):
            progress(Stage("comparing", number, len(observations), "cases"))
            found, expected = models.runner.run(inputs), exact.run(inputs)
            difference = first_difference(found, expected, models.config.precision, name)
            if parity is not None:
                parity.compare(name, found["actions_normalized"], expected["actions_normalized"])
            if difference is not None and (earliest is None or difference.order < earliest.order):
                earliest = difference
        if earliest is None or earliest.stage == "preprocess":
            return earliest, ""
        progress(Stage("looking inside"))
        inputs = observations[earliest.observation]
        return _inside(models, earliest, inputs, exact.run(inputs))


def _inside(
    models: _Models, known: FirstDifference, inputs: Mapping[str, Array], expected: Mapping[str, Array]
) -> tuple[FirstDifference, str]:
    """The same difference as taps show it, where there can be any for the published graphs."""
    with scratch_folder("reflex-verify-") as folder:
        published = models.runner.run(inputs)
        try:
            tapped = models.tapped(folder)
            found = tapped.run(inputs) if tapped else {}
        except (SetupError, OSError) as exc:  # a second policy on the device: its memory may be full, or the disk
            return known, f"{NOT_INSIDE}: {exc}"
        if not found or not _is_same_answer(found, published, models.config.precision):
            return known, NO_STEPS
        # What is published speaks for itself; taps only say what it does not.
        seen = first_difference({**found, **published}, expected, models.config.precision, known.observation)
        return seen or known, ""


def _is_same_answer(found: Mapping[str, Array], published: Mapping[str, Array], precision: str) -> bool:
    bound = SAME_ANSWER * gate_of(precision).max_abs
    return max_abs(found["actions_normalized"], published["actions_normalized"]) <= bound
