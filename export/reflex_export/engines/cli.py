"""What `reflex engines build` does. The options are declared in reflex.cli, which calls this when the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich.progress
from rich.console import Console

from reflex.cli.output import print_json, reported_errors, say
from reflex_export.engines.build import BuildProgress, ProgressReport
from reflex_export.engines.record import GIB, BuildOptions
from reflex_export.engines.repository import BACKENDS, ComponentEngine, PolicyEngines, build_repository
from reflex_export.engines.toolkit import Engine, installed_engine

__all__ = ["build_command"]

MB: float = 1e6


def build_command(
    repository: Path,
    *,
    policy: str | None = None,
    engine: Engine | None = None,
    activate: bool | None = None,
    targets: tuple[str, ...] = (),
    workspace_gib: float = 4.0,
    best_batch: int = 1,
    allow_tf32: bool = False,
    cache: Path | None = None,
    as_json: bool = False,
) -> None:
    """Build the engines of one policy, or of all, and print what was built; exit code 1 and the reason when not.

    `engine` None takes what is installed, `tensorrt` first. The other arguments are those of `build_repository` and
    `BuildOptions`.
    """
    with reported_errors(as_json=as_json), _shown_progress() as progress:
        kind = engine or installed_engine()
        options = BuildOptions(kind, int(workspace_gib * GIB), allow_tf32, targets)
        built = build_repository(
            repository, policy, kind,
            options=options, best_batch=best_batch, activate=activate, cache=cache, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json({"engines": [_as_json(each) for each in built]})
        return
    for each in built:
        _print_for_people(each)


@contextmanager
def _shown_progress() -> Iterator[ProgressReport]:
    """A line on a terminal's stderr that says what TensorRT is doing; nothing where nobody watches."""
    console = Console(stderr=True)
    columns = (
        rich.progress.SpinnerColumn(),
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.TimeElapsedColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the repository", total=None)

        def show(step: BuildProgress) -> None:
            done = "" if step.fraction is None else f" {step.fraction:.0%}"
            bar.update(task, description=f"{step.onnx.parent.parent.name}: {step.phase}{done}")

        yield show


def _print_for_people(built: PolicyEngines) -> None:
    for component in built.components:
        say(_line(component))
    backend = BACKENDS[built.engine]
    if built.active:
        say(f"{built.policy} is served by Triton's backend {backend} from its next start on.")
    else:
        say(f"{built.policy} is still served from ONNX: Triton itself has no backend {backend}.")


def _line(component: ComponentEngine) -> str:
    manifest = component.record.manifest
    origin = "from the cache" if component.record.cached else f"built in {manifest.build_s:.1f} s"
    shares = manifest.precision.multiplications
    types = ", ".join(f"{manifest.precision.share_of(kind):.0%} {kind}" for kind in sorted(shares)) or "no products"
    return (
        f"{component.name}: {manifest.plan_bytes / MB:.1f} MB, {origin}, multiplications {types}, for {manifest.target}"
    )


def _as_json(built: PolicyEngines) -> dict[str, Any]:
    components = [
        {
            "name": component.name,
            "plan": str(component.plan),
            "cached": component.record.cached,
            "plan_bytes": component.record.manifest.plan_bytes,
            "build_s": component.record.manifest.build_s,
            "target": component.record.manifest.target,
            "version": component.record.manifest.version,
            "layers": dict(component.record.manifest.precision.layers),
            "products": dict(component.record.manifest.precision.products),
        }
        for component in built.components
    ]
    return {"policy": built.policy, "engine": built.engine, "active": built.active, "components": components}
