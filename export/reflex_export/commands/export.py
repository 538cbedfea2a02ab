"""What `reflex export` does. Its options are declared in reflex.cli, which calls this."""

from __future__ import annotations

import gc
import re
import shlex
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any, Final

from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.export_options import ExportOptions
from reflex.policy_config import PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.commands.disk import disk_faults_told
from reflex_export.commands.engines import engines_as_json, print_engines
from reflex_export.commands.progress_bars import shown_progress
from reflex_export.commands.verify import parity_sentence, proof_sentence
from reflex_export.engines import BuildOptions, require_engine
from reflex_export.exporting.pipeline import ExportReport, check_options, export_checkpoint
from reflex_export.exporting.policy_record import source_of
from reflex_export.progress import Stage
from reflex_export.reading import read_checkpoint

__all__ = ["export_command"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
LONGEST_NAME: Final = 100


def export_command(source: str, options: ExportOptions, *, as_json: bool = False) -> int:
    """Export one checkpoint and say what became of it; the exit code."""
    # What is imported stays: the collector need not walk all of it with every ten thousand nodes of a graph.
    gc.freeze()
    with reported_errors(as_json=as_json), disk_faults_told(options.repository), shown_progress() as progress:
        if options.cases is not None and not options.check:
            raise SetupError("--no-check runs nothing, so it cannot compare with --cases; leave one of them out")
        if options.engine != "onnx":
            require_engine(BuildOptions(options.engine))  # before a checkpoint of gigabytes is fetched
        options = with_fields(options, name=_name(options.name, source))
        check_options(options)  # also before that
        progress(Stage("reading the checkpoint"))
        checkpoint = read_checkpoint(source, **options.reading)
        report = export_checkpoint(checkpoint, with_fields(options, source=_origin(source, checkpoint)), progress)
    if as_json:
        print_json(_report_as_json(report))
    else:
        _print_for_people(report, options.repository)
    return 0


def _name(name: str, source: str) -> str:
    folder = Path(source.rstrip("/")).name
    chosen = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", folder).strip("-.")
    if not chosen:
        raise SetupError(f"the checkpoint's name {folder!r:.120} makes none for a policy; choose one with --name")
    if not NAME.fullmatch(chosen):
        raise SetupError(f"{chosen!r:.120} is no name for a policy: {_fault(chosen)}; choose one with --name")
    return chosen


def _fault(name: str) -> str:
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters, at most {LONGEST_NAME} are allowed"
    if name[:1] in {"_", "-", "."}:
        return f"it must begin with a letter or a digit, not with {name[0]!r}"
    return "letters, digits, _, - and . only"


def _origin(source: str, checkpoint: Checkpoint) -> str:
    """A folder as it was given, since `verify` shall find it again; a hub id with its commit."""
    return source_of(checkpoint) if checkpoint.revision else source


def _print_for_people(report: ExportReport, repository: Path) -> None:
    for warning in report.warnings:
        say(f"warning: {warning}")
    for config in report.policies:
        say(parity_sentence(config.policy_id, config.parity or {}))
        if proof := proof_sentence(config):
            say(f"{config.policy_id}: {proof}")
    for policy in report.engines:
        print_engines(policy)
    if report.published:
        chosen = ", or ".join(f"--policy {config.policy_id}" for config in report.policies)
        say(f"published in {repository}; next: reflex serve --model-repository {shlex.quote(str(repository))} {chosen}")
    else:
        say("nothing was published (--dry-run)")


def _report_as_json(report: ExportReport) -> dict[str, Any]:
    return {
        "published": report.published,
        "policies": [_as_json(config) for config in report.policies],
        "engines": [engines_as_json(policy) for policy in report.engines],
        "warnings": list(report.warnings),
    }


def _as_json(config: PolicyConfig) -> dict[str, Any]:
    fields = {"policy_id", "policy_hash", "family", "embodiment", "precision", "denoising_steps", "source", "parity"}
    return config.model_dump(mode="json", include=fields)
