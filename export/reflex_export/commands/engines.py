"""What `reflex engines build` does. The options are declared in reflex.cli, which calls this when the command runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reflex.console import print_json, reported_errors, say
from reflex.device_parity import DeviceParityConfig
from reflex.policy_config import PolicyConfig
from reflex_export.commands.disk import disk_faults_told
from reflex_export.commands.progress_bars import shown_progress
from reflex_export.engines.build import stage_of
from reflex_export.engines.cache import LOCK_TIMEOUT_S
from reflex_export.engines.record import GIB, BuildOptions
from reflex_export.engines.repository import BACKENDS, ComponentEngine, PolicyEngines, build_repository
from reflex_export.engines.shared import SharedBuild, build_shared
from reflex_export.engines.toolkit import Engine, installed_engine

__all__ = ["build_command", "build_shared_command", "engines_as_json", "print_engines"]

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
    with reported_errors(as_json=as_json), disk_faults_told(repository), shown_progress() as show:
        kind = engine or installed_engine()
        options = BuildOptions(kind, int(workspace_gib * GIB), allow_tf32, targets)
        built = build_repository(
            repository,
            policy,
            kind,
            options=options,
            best_batch=best_batch,
            activate=activate,
            cache=cache,
            progress=lambda step: show(stage_of(step)),
            measure=_measured,
        )
    if as_json:
        print_json({"engines": [engines_as_json(each) for each in built]})
        return
    for each in built:
        print_engines(each)


def build_shared_command(
    repository: Path,
    folder: Path,
    *,
    policy: str | None = None,
    engine: Engine | None = None,
    cache: Path | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    as_json: bool = False,
) -> None:
    """The same for every machine that shares `folder`: built once, in a copy there. The repository is only read."""

    def note(sentence: str) -> None:
        if not as_json:
            say(f"engines: {sentence}")

    started_s = time.monotonic()
    with reported_errors(as_json=as_json), disk_faults_told(folder), shown_progress() as show:
        options = BuildOptions(engine or installed_engine())
        order = SharedBuild(repository, folder, options, policy, cache, lock_timeout_s, _measured)
        shared = build_shared(order, note, progress=lambda step: show(stage_of(step)))
    took_s = time.monotonic() - started_s
    if as_json:
        engines = [engines_as_json(each) for each in shared.built]
        print_json({"place": str(shared.place), "built": bool(shared.built), "engines": engines})
        return
    for each in shared.built:
        print_engines(each)
    note(f"built in {took_s:.1f} s" if shared.built else f"found, nothing to build ({took_s:.1f} s)")
    note(f"{shared.place} is current")


def print_engines(built: PolicyEngines) -> None:
    """A line for each component, and what serves the policy now."""
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


def engines_as_json(built: PolicyEngines) -> dict[str, Any]:
    """The same for programs."""
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


def _measured(
    repository: Path, config: PolicyConfig, plans: Mapping[str, Path], engine: Engine
) -> DeviceParityConfig | None:
    """As `measure_engines`, which is imported when something was built: engines that are there cost a look."""
    from reflex_export.checking.engine_parity import measure_engines

    return measure_engines(repository, config, plans, engine)
