"""`reflex export`: a checkpoint in, a policy in a model repository out, or nothing at all.

read > build the graphs > write them beside the repository > run them on a canary > compare > build the engines >
publish by renaming
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reflex.embodiments import Embodiment
from reflex.export_options import ExportOptions
from reflex.model_repository import model_file
from reflex.policy_config import CanaryConfig, MergedAdapterConfig, PolicyConfig
from reflex_export.adapter_record import adapter_record
from reflex_export.checking.comparison import Fp32Answers, parity_of
from reflex_export.checking.engine_parity import measure_engines
from reflex_export.checking.memory import available_bytes, check_bytes, require_memory
from reflex_export.checking.parity import Parity, PolicyRunner, gate_of
from reflex_export.checking.recorded import find_cases
from reflex_export.checking.rounding import RoundedRunner
from reflex_export.checkpoint import Checkpoint
from reflex_export.engines import BuildOptions, PolicyEngines, build_staged, require_engine
from reflex_export.engines.build import stage_of
from reflex_export.errors import ParityError
from reflex_export.exporting.arithmetic_choice import Choice
from reflex_export.exporting.canary import canary_of, canary_tolerance
from reflex_export.exporting.embodiment_fit import check_cameras, check_units, fitting_embodiment
from reflex_export.exporting.name_taken import policy_ids, require_free, require_unshared
from reflex_export.exporting.policy_record import Variant, draft_config, source_of, write_policy_files
from reflex_export.exporting.variants import write_variants
from reflex_export.families.common import FamilyGraphs, arithmetics_of
from reflex_export.families.family_graphs import build_graphs, default_steps
from reflex_export.graph.graph import Array
from reflex_export.progress import Progress, Stage, unseen
from reflex_export.publishing.staged import StagedModel, StagedPolicy, identity_of, staging

__all__ = ["ExportReport", "check_options", "default_steps", "export_checkpoint"]


@dataclass(frozen=True)
class ExportReport:
    """What was made, one entry per policy."""

    policies: tuple[PolicyConfig, ...]
    """As they were compared, from ONNX; an engine that takes its place in the repository has other numbers."""
    published: bool
    engines: tuple[PolicyEngines, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is odd about the checkpoint's statistics on this robot."""


def export_checkpoint(checkpoint: Checkpoint, options: ExportOptions, progress: Progress = unseen) -> ExportReport:
    """Export, verify and publish. Raises `CheckpointError` or `SetupError`; then the repository is as it was.

    FP16 that comes too near to its gate is made again with more of it in FP32, while there is more: a GPU rounds more
    than a CPU can simulate. Of the safest the gate itself is asked.
    """
    check_options(options)
    *faster, safest = arithmetics_of(checkpoint.family, options.precision)
    exact = Fp32Answers(checkpoint)
    choice = Choice(safest, is_safest=True)
    for arithmetic in faster:
        try:
            return _exported(exact, replace(options, force=False), Choice(arithmetic, is_safest=False), progress)
        except ParityError as missed:
            progress(Stage(f"{arithmetic}: {missed.figure}; taking {safest}, attention in FP32"))
            choice = replace(choice, passed_over=f"{arithmetic}: {missed.figure}")
    return _exported(exact, options, choice, progress)


def check_options(options: ExportOptions) -> None:
    """`SetupError` for what can be refused without the checkpoint: cases that are none, a name that is taken."""
    if options.cases is not None:
        find_cases(options.cases)
    _check_place(options)


def _check_place(options: ExportOptions) -> None:
    if not options.dry_run:
        names = policy_ids(options.name, options.steps)
        (require_unshared if options.replace else require_free)(options.repository, names)


def _exported(exact: Fp32Answers, options: ExportOptions, choice: Choice, progress: Progress) -> ExportReport:
    checkpoint = exact.checkpoint
    embodiment = fitting_embodiment(checkpoint, options.embodiment)
    warnings = (*checkpoint.warnings, *check_units(checkpoint, embodiment, is_checked=options.units_checked))
    check_cameras(checkpoint, options.optional_cameras)
    if options.engine != "onnx":
        require_engine(BuildOptions(options.engine))
    steps = options.steps or (default_steps(checkpoint),)
    adapter = adapter_record(checkpoint.adapter, is_hashed=True)
    progress(Stage("building the graphs"))
    graphs = build_graphs(checkpoint, steps, choice.arithmetic)
    if options.check:
        require_memory(check_bytes(graphs, options.precision), available_bytes())
    with staging(options.repository) as staged:
        export = _Export(exact, options, choice, embodiment, warnings, adapter, staged, progress)
        configs = export.write(graphs, steps)
        engines = export.build_engines([config.policy_id for config in configs])
        if not options.dry_run:
            progress(Stage("publishing"))
            _check_place(options)  # again: this export is the only writer now
            staged.publish()
    return ExportReport(tuple(configs), not options.dry_run, engines, warnings)


@dataclass(frozen=True)
class _Export:
    """One export whose scratch folder is there."""

    exact: Fp32Answers
    options: ExportOptions
    choice: Choice
    embodiment: Embodiment
    warnings: tuple[str, ...]
    adapter: MergedAdapterConfig | None
    staged: StagedPolicy
    progress: Progress

    @property
    def checkpoint(self) -> Checkpoint:
        return self.exact.checkpoint

    def write(self, graphs: FamilyGraphs, steps: Sequence[int]) -> list[PolicyConfig]:
        """Everything of an ONNX export, compared; one policy for each step count."""
        name, max_batch = self.options.name, self.options.max_batch
        variants = write_variants(self.staged, graphs, name, steps, max_batch=max_batch, progress=self.progress)
        models = {model.name: model for variant in variants for model in variant.models}
        export_id = self._export_id(tuple(models.values()))
        configs = [self._finish(variant, export_id) for variant in variants]
        for model in models.values():
            self.staged.write_component_config(model, export_id)
        return configs

    def build_engines(self, names: Sequence[str]) -> tuple[PolicyEngines, ...]:
        """Engines beside the ONNX, before anything is published; where they shall be found afterwards."""
        if self.options.engine == "onnx":
            return ()
        built = build_staged(
            self.staged.folder,
            names,
            BuildOptions(self.options.engine),
            cache=self.options.engine_cache,
            progress=lambda step: self.progress(stage_of(step)),
            measure=measure_engines,
        )
        return tuple(policy.moved_to(self.options.repository) for policy in built)

    def _export_id(self, models: tuple[StagedModel, ...]) -> str:
        """Another one for whatever makes a component different: a repository of two exports must be seen to be one."""
        salt = {
            "name": self.options.name,
            "source": f"{self.checkpoint.source}@{self.checkpoint.revision}",
            "max_batch": str(self.options.max_batch),
            "components": " ".join(model.name for model in models),
        }
        return identity_of(models, salt).export_id

    def _finish(self, variant: Variant, export_id: str) -> PolicyConfig:
        """Everything of the ensemble's folder, and the parity check."""
        directory = self.staged.write_ensemble(variant.policy_id, variant.models, export_id)
        draft = self._draft(variant, export_id)
        config, canary = self._checked(variant, draft) if self.options.check else self._unchecked(draft)
        write_policy_files(directory, config, self.checkpoint, self.options.embodiment, canary)
        return config

    def _draft(self, variant: Variant, export_id: str) -> PolicyConfig:
        return draft_config(
            variant,
            self.checkpoint,
            self.embodiment,
            adapter=self.adapter,
            precision=self.options.precision,
            optional_cameras=self.options.optional_cameras,
            export_id=export_id,
            source=self.options.source or source_of(self.checkpoint),
            warnings=self.warnings,
            stats=None if self.options.stats is None else str(self.options.stats),
            trained=not self.options.untrained,
            description=self.options.description,
        )

    def _unchecked(self, draft: PolicyConfig) -> tuple[PolicyConfig, Mapping[str, Array]]:
        parity = Parity(gate_of(self.options.precision), "nothing")
        return draft.model_copy(update={"parity": parity.record()}), {}

    def _checked(self, variant: Variant, draft: PolicyConfig) -> tuple[PolicyConfig, Mapping[str, Array]]:
        """With what the graphs answered; `ParityError` when that is too far from what they should have."""
        self.progress(Stage(f"checking {variant.policy_id}"))
        paths = [model_file(self.staged.folder, model.name) for model in variant.models]
        runner = PolicyRunner(paths)
        canary = canary_of(runner, draft, self.checkpoint)
        parity = parity_of(runner, draft, self.exact, self.options.cases, self.progress)
        if self.options.precision == "fp16" and self.choice.is_enough(parity):
            rounded = parity_of(RoundedRunner(paths), draft, self.exact, self.options.cases, self.progress)
            parity = max(parity, rounded, key=lambda one: one.badness)
        if not self.options.force:
            self.choice.require(variant.policy_id, parity)
        tolerance = canary_tolerance(canary["expected.actions"], self.options.precision)
        changes = {"canary": CanaryConfig(tolerance=tolerance), "parity": self.choice.record(parity)}
        return draft.model_copy(update=changes), canary
