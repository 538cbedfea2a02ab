"""What `reflex export` does. Its options are declared in reflex.cli, which calls this."""

from __future__ import annotations

import gc
import re
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any, Final

from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.commands.engines import engines_as_json, print_engines
from reflex_export.commands.progress_bars import shown_progress
from reflex_export.commands.verify import parity_sentence
from reflex_export.engines import BuildOptions, require_engine
from reflex_export.exporting.pipeline import EngineKind, ExportOptions, ExportReport, check_options, export_checkpoint
from reflex_export.exporting.policy_record import source_of
from reflex_export.families.common import Precision
from reflex_export.progress import Stage
from reflex_export.reading import read_checkpoint

__all__ = ["export_command"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def export_command(
    source: str,
    *,
    repository: Path,
    name: str | None = None,
    embodiment: str | None = None,
    precision: Precision = "fp32",
    engine: EngineKind = "onnx",
    steps: tuple[int, ...] = (),
    max_batch: int = 8,
    optional_cameras: tuple[str, ...] = (),
    vlm: Path | None = None,
    tokenizer: Path | None = None,
    revision: str | None = None,
    cases: Path | None = None,
    untrained: bool = False,
    description: str = "",
    check: bool = True,
    force: bool = False,
    replace: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    """Export one checkpoint and say what became of it; the exit code."""
    # What is imported stays: the collector need not walk all of it with every ten thousand nodes of a graph.
    gc.freeze()
    with reported_errors(as_json=as_json), shown_progress() as progress:
        if cases is not None and not check:
            raise SetupError("--no-check runs nothing, so it cannot compare with --cases; leave one of them out")
        if engine != "onnx":
            require_engine(BuildOptions(engine))  # before a checkpoint of gigabytes is fetched
        options = ExportOptions(
            repository=repository,
            name=_name(name, source),
            embodiment=embodiment,
            precision=precision,
            engine=engine,
            steps=tuple(dict.fromkeys(steps)),
            max_batch=max_batch,
            optional_cameras=frozenset(optional_cameras),
            cases=cases,
            trained=not untrained,
            description=description,
            check=check,
            force=force,
            replace=replace,
            dry_run=dry_run,
        )
        check_options(options)  # also before that
        progress(Stage("reading the checkpoint"))
        checkpoint = read_checkpoint(source, vlm=vlm, tokenizer=tokenizer, revision=revision)
        report = export_checkpoint(checkpoint, with_fields(options, source=_origin(source, checkpoint)), progress)
    if as_json:
        print_json(_report_as_json(report))
    else:
        _print_for_people(report, repository)
    return 0


def _name(name: str | None, source: str) -> str:
    chosen = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(source.rstrip("/")).name).strip("-.")
    if not NAME.fullmatch(chosen):
        raise SetupError(
            f"{chosen!r} is no name for a policy: letters, digits, _, - and . only; choose one with --name"
        )
    return chosen


def _origin(source: str, checkpoint: Checkpoint) -> str:
    """A folder as it was given, since `verify` shall find it again; a hub id with its commit."""
    return source_of(checkpoint) if checkpoint.revision else source


def _print_for_people(report: ExportReport, repository: Path) -> None:
    for config in report.policies:
        say(parity_sentence(config.policy_id, config.parity or {}))
    for policy in report.engines:
        print_engines(policy)
    if report.published:
        chosen = ", or ".join(f"--policy {config.policy_id}" for config in report.policies)
        say(f"published in {repository}; next: reflex serve --model-repository {repository} {chosen}")
    else:
        say("nothing was published (--dry-run)")


def _report_as_json(report: ExportReport) -> dict[str, Any]:
    return {
        "published": report.published,
        "policies": [_as_json(config) for config in report.policies],
        "engines": [engines_as_json(policy) for policy in report.engines],
    }


def _as_json(config: PolicyConfig) -> dict[str, Any]:
    fields = {"policy_id", "policy_hash", "family", "embodiment", "precision", "denoising_steps", "source", "parity"}
    return config.model_dump(mode="json", include=fields)
