"""What `reflex export` and `reflex verify` do. Their options are declared in reflex.cli, which calls this."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from reflex.cli.output import EXIT_FAILED, print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.families.common import Precision
from reflex_export.parity import GATES, Parity, PolicyRunner
from reflex_export.pipeline import ExportOptions, ExportReport, Progress, export_checkpoint
from reflex_export.reading import read_checkpoint
from reflex_export.recorded import find_cases, read_case

__all__ = ["export_command", "verify_command"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def export_command(
    source: str,
    *,
    repository: Path,
    name: str | None = None,
    embodiment: str | None = None,
    precision: Precision = "fp32",
    steps: tuple[int, ...] = (),
    max_batch: int = 8,
    optional_cameras: tuple[str, ...] = (),
    vlm: Path | None = None,
    tokenizer: Path | None = None,
    revision: str | None = None,
    cases: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    """Export one checkpoint and say what became of it; the exit code."""
    with reported_errors(as_json=as_json), _shown_progress() as progress:
        options = ExportOptions(
            repository=repository,
            name=_name(name, source),
            embodiment=embodiment,
            precision=precision,
            steps=tuple(dict.fromkeys(steps)),
            max_batch=max_batch,
            optional_cameras=frozenset(optional_cameras),
            cases=cases,
            force=force,
            dry_run=dry_run,
        )
        progress("reading the checkpoint")
        checkpoint = read_checkpoint(source, vlm=vlm, tokenizer=tokenizer, revision=revision)
        report = export_checkpoint(checkpoint, options, progress)
    if as_json:
        print_json({"published": report.published, "policies": [_as_json(config) for config in report.policies]})
    else:
        _print_for_people(report, repository)
    return 0


def verify_command(repository: Path, *, policy: str, source: str, cases: Path, as_json: bool = False) -> int:
    """Run a policy of a repository on recorded cases; 1 when it misses its gate."""
    with reported_errors(as_json=as_json):
        config = read_policy_config(repository / policy)
        checkpoint = read_checkpoint(source)
        found = find_cases(cases)
        if not found:
            raise SetupError(f"{cases} holds no case_*.npz; record some, or pass the folder that has them to --cases")
        parity = Parity(GATES["fp32" if config.precision == "fp32" else "fp16"], "recorded cases")
        runner = PolicyRunner.of(repository, config)
        for path in found:
            case = read_case(path, checkpoint, config.inputs)
            if case.steps in (None, config.denoising_steps):
                parity.compare(case.name, runner.run(case.inputs)["actions_normalized"], case.actions_normalized)
    if as_json:
        print_json(parity.record())
    else:
        say(_sentence(policy, parity.record()))
    return EXIT_FAILED if parity.verdict != "passed" else 0


def _name(name: str | None, source: str) -> str:
    chosen = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(source.rstrip("/")).name).strip("-.")
    if not NAME.fullmatch(chosen):
        raise SetupError(
            f"{chosen!r} is no name for a policy: letters, digits, _, - and . only; choose one with --name"
        )
    return chosen


@contextmanager
def _shown_progress() -> Iterator[Progress]:
    """A line on a terminal's stderr that says what is being done; nothing where nobody watches."""
    console = Console(stderr=True)
    with console.status("starting") as status:
        yield status.update


def _print_for_people(report: ExportReport, repository: Path) -> None:
    for config in report.policies:
        say(_sentence(config.policy_id, config.parity or {}))
    first = report.policies[0].policy_id
    if report.published:
        say(f"published in {repository}; next: reflex serve --model-repository {repository} --policy {first}")
    else:
        say("nothing was published (--dry-run)")


def _sentence(policy: str, parity: dict[str, float | str]) -> str:
    if "max_abs" not in parity:
        return f"{policy}: exported; its numbers were not compared (pass recorded cases with --cases)"
    return (
        f"{policy}: parity {parity['verdict']} against {parity['against']}: max-abs {float(parity['max_abs']):.2e}, "
        f"cosine {float(parity['cosine']):.7f} over {float(parity['cases']):.0f} cases, the worst {parity['worst']}"
    )


def _as_json(config: PolicyConfig) -> dict[str, Any]:
    fields = {"policy_id", "policy_hash", "family", "embodiment", "precision", "denoising_steps", "source", "parity"}
    return config.model_dump(mode="json", include=fields)
