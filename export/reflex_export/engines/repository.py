"""`build_repository`: engines for the policies of a model repository, from the ONNX files that ship in it.

<policy>_encoder/   config.pbtxt, 1/model.onnx, 1/model.plan, 1/engine.json
<policy>_denoise/   the same; the preprocess stays ONNX, it is a resize and takes images of any size

All engines of a build appear together, or none: policies share encoders, and each is measured with what it will run.
Exports are kept out meanwhile: an engine must not be published beside another ONNX than its own. All kinds of engine
have one file's name, so that a build replaces a plan that is served only by one that will be; what was measured of a
plan goes with it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reflex.device_parity import DeviceParityConfig, with_newest
from reflex.durable_files import copy_file, link_file, replace_file
from reflex.errors import RepositoryError
from reflex.model_repository import (
    CONFIG_FILE,
    TRITON_CONFIG_FILE,
    VERSION_FOLDER,
    model_file,
    some_policies_of,
)
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.engines.build import BuildProgress, ProgressReport, build_engine
from reflex_export.engines.cache import PLAN_FILE
from reflex_export.engines.config_text import backend_of, component_names, max_batch_size, with_backend
from reflex_export.engines.errors import ConfigTextError, EngineError
from reflex_export.engines.onnx_file import read_onnx
from reflex_export.engines.profile import profile_of
from reflex_export.engines.record import BuildOptions, EngineManifest, EngineRecord
from reflex_export.engines.toolkit import Engine
from reflex_export.engines.warmup import engine_blocks
from reflex_export.publishing.ownership import owners
from reflex_export.publishing.transaction import STAGED, publish, scratch_folder

__all__ = ["BACKENDS", "ComponentEngine", "Measure", "PolicyEngines", "build_repository", "build_staged"]

BACKENDS: Final[Mapping[Engine, str]] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Triton's name for the backend that loads such a plan. It comes with a `tensorrt`, and with no `tensorrt_rtx`."""
ENGINE_BACKENDS: Final = frozenset({*BACKENDS.values(), "tensorrt_plan"})
"""What config.pbtxt calls them; the last is Triton's `platform` from before it had backends."""
MANIFEST_FILE: Final = "engine.json"
PREPROCESS_SUFFIX: Final = "_preprocess"


Measure = Callable[[Path, PolicyConfig, Mapping[str, Path], Engine], DeviceParityConfig | None]
"""Runs a policy's plans, by model name, on the GPU that serves; an error of it publishes nothing."""


@dataclass(frozen=True)
class ComponentEngine:
    """One component's engine."""

    name: str
    plan: Path
    """Where it lies in the repository."""
    record: EngineRecord


@dataclass(frozen=True)
class PolicyEngines:
    """What was built for a policy; `active` when its config.pbtxt files make Triton load the plans."""

    policy: str
    engine: Engine
    active: bool
    components: tuple[ComponentEngine, ...]

    def moved_to(self, repository: Path) -> PolicyEngines:
        """The same after the component's folders were moved there."""
        parts = (replace(part, plan=repository / part.name / VERSION_FOLDER / PLAN_FILE) for part in self.components)
        return replace(self, components=tuple(parts))


def build_repository(
    repository: Path,
    policy: str | None,
    engine: Engine,
    *,
    options: BuildOptions | None = None,
    best_batch: int = 1,
    activate: bool | None = None,
    cache: Path | None = None,
    progress: ProgressReport | None = None,
    measure: Measure | None = None,
) -> tuple[PolicyEngines, ...]:
    """Build and publish the engines of one policy and of those that share its models, or of all when `policy` is None.

    It waits while an export or another build is at work in the repository. `activate` says whether config.pbtxt shall
    name the engine's backend; None does so where Triton itself has that backend. All are built before the first is
    published; those that become active are measured by `measure` first, and the others are refused where an engine is
    served. `SetupError` says what is missing.
    """
    chosen = options or BuildOptions(engine)
    if chosen.engine != engine:
        raise ValueError(f"options are for {chosen.engine}, not {engine}")
    is_active = engine == "tensorrt" if activate is None else activate
    plan = _Plan(chosen, best_batch, is_active, cache, progress, measure)
    if policy is None:
        some_policies_of(repository)  # before anything is written: it may be no model repository
    return _rebuild(repository, policy, plan)


def build_staged(
    folder: Path,
    names: Sequence[str],
    options: BuildOptions,
    *,
    cache: Path | None,
    progress: ProgressReport | None,
    measure: Measure | None = None,
) -> tuple[PolicyEngines, ...]:
    """Engines of policies in a folder that is no repository yet, so that only its owner knows of it."""
    plan = _Plan(options, 1, options.engine == "tensorrt", cache, progress, measure)
    return _add_engines(folder, [_build_policy(folder, name, plan) for name in names], plan)


@dataclass(frozen=True)
class _Plan:
    """What is the same for every component."""

    options: BuildOptions
    best_batch: int
    activate: bool
    cache: Path | None
    progress: ProgressReport | None
    measure: Measure | None


@dataclass(frozen=True)
class _Built:
    """A component whose engine is in the cache, not yet in the repository."""

    name: str
    blocks: list[str]
    record: EngineRecord


@dataclass(frozen=True)
class _BuiltPolicy:
    """The engines of a policy, still in the cache."""

    config: PolicyConfig
    components: tuple[_Built, ...]
    measured: DeviceParityConfig | None = None


def _rebuild(repository: Path, policy: str | None, plan: _Plan) -> tuple[PolicyEngines, ...]:
    """All engines appear together, as an export does."""

    def waits(holder: str) -> None:
        if plan.progress is not None:
            plan.progress(BuildProgress(repository, f"waiting for {holder}", None))

    if not repository.is_dir():
        raise RepositoryError(f"{repository} is no folder; engines are built for the policies of a model repository")
    with scratch_folder(repository, "a build of engines", waits) as scratch:
        names = some_policies_of(repository) if policy is None else _changed_with(repository, policy, plan)
        for name in () if plan.activate else names:
            _require_unserved(repository, name, plan.options.engine)
        built = [_build_policy(repository, name, plan) for name in names]
        parts = dict.fromkeys(part.name for policy in built for part in policy.components)
        changed = [*parts, *(names if plan.activate else [])]
        staged = scratch / STAGED
        for each in changed:
            shutil.copytree(repository / each, staged / each, symlinks=True, copy_function=link_file)
        engines = _add_engines(staged, built, plan)
        publish(changed, staged, repository)
    return tuple(each.moved_to(repository) for each in engines)


def _changed_with(repository: Path, policy: str, plan: _Plan) -> list[str]:
    """It, and whoever runs a model that its build puts on an engine: what they answer changes too."""
    read_policy_config(repository / policy)  # what is no policy is told as such
    found = [policy]
    owned = owners(repository) if plan.activate else {}
    for name in found:  # which grows meanwhile
        for part in _components(repository / name):
            found += sorted(owned.get(part, set()).difference(found))
    return found


def _require_unserved(repository: Path, name: str, engine: Engine) -> None:
    """`EngineError` where a plan is served that engines for nobody's use would replace."""
    for part in _components(repository / name):
        path = repository / part / TRITON_CONFIG_FILE
        if _backend(path) in ENGINE_BACKENDS:
            raise EngineError(
                f"{path} makes Triton serve {part} from its {PLAN_FILE}, which this build would replace by one of kind "
                f"{engine} that it does not serve; build with --engine tensorrt (from Python: activate=True), or "
                f"export {name} again first (--replace), which brings its ONNX back"
            )


def _build_policy(repository: Path, name: str, plan: _Plan) -> _BuiltPolicy:
    config = read_policy_config(repository / name)
    wanted = _components(repository / name)
    components = tuple(_build_component(repository / part, config, plan) for part in wanted)
    if plan.measure is None or not plan.activate:
        return _BuiltPolicy(config, components)
    if plan.progress is not None:
        plan.progress(BuildProgress(repository, "measuring them on the GPU", None))
    plans = {component.name: component.record.plan for component in components}
    return _BuiltPolicy(config, components, plan.measure(repository, config, plans, plan.options.engine))


def _add_engines(folder: Path, policies: Sequence[_BuiltPolicy], plan: _Plan) -> tuple[PolicyEngines, ...]:
    """Write them beside the ONNX of the policies in `folder`; what several share is written once."""
    parts = {part.name: part for built in policies for part in built.components}
    same = {name for name, part in parts.items() if _is_written(folder / name, part.record.manifest)}
    engines = {name: _write(folder / name, part, plan, is_same=name in same) for name, part in parts.items()}
    for built in policies if plan.activate else ():
        is_same = all(part.name in same for part in built.components)
        described = _described(built, plan.options.engine, is_same=is_same)
        replace_file(folder / built.config.policy_id / CONFIG_FILE, described)
    return tuple(
        PolicyEngines(
            built.config.policy_id,
            plan.options.engine,
            plan.activate,
            tuple(engines[part.name] for part in built.components),
        )
        for built in policies
    )


def _components(folder: Path) -> list[str]:
    """The policy's models that get engines."""
    path = folder / TRITON_CONFIG_FILE
    try:
        names = component_names(_text_of(path))
    except ConfigTextError as exc:
        raise _not_a_config(path, exc) from exc
    if not names:
        raise RepositoryError(f"{path} chains no models; export the policy again")
    return [name for name in names if not name.endswith(PREPROCESS_SUFFIX)]


def _build_component(folder: Path, policy: PolicyConfig, plan: _Plan) -> _Built:
    path = model_file(folder.parent, folder.name)
    if not path.exists():
        raise EngineError(f"{path} is missing, and engines are built from it alone; export the policy again")
    batch = _max_batch_size(folder / TRITON_CONFIG_FILE)
    inputs = read_onnx(path).inputs
    profile = profile_of(inputs, max_batch=max(1, batch), best_batch=plan.best_batch)
    record = build_engine(
        path, profile, plan.options, cache=plan.cache, precision=policy.precision, progress=plan.progress
    )
    return _Built(folder.name, engine_blocks(inputs, profile, batch), record)


def _max_batch_size(path: Path) -> int:
    try:
        return max_batch_size(_text_of(path))
    except ValueError as exc:  # of the text's form, or of the number
        raise _not_a_config(path, exc) from exc


def _backend(path: Path) -> str:
    try:
        return backend_of(_text_of(path))
    except ConfigTextError as exc:
        raise _not_a_config(path, exc) from exc


def _write(folder: Path, built: _Built, plan: _Plan, *, is_same: bool) -> ComponentEngine:
    version = folder / VERSION_FOLDER
    if not is_same:
        copy_file(built.record.plan, version / PLAN_FILE)
    replace_file(version / MANIFEST_FILE, built.record.manifest.to_json())
    if plan.activate:
        path = folder / TRITON_CONFIG_FILE
        replace_file(path, with_backend(_text_of(path), BACKENDS[plan.options.engine], built.blocks).encode())
    return ComponentEngine(built.name, version / PLAN_FILE, built.record)


def _is_written(folder: Path, manifest: EngineManifest) -> bool:
    path = folder / VERSION_FOLDER / PLAN_FILE
    if not path.is_file() or path.stat().st_size != manifest.plan_bytes:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == manifest.plan_sha256


def _described(built: _BuiltPolicy, engine: Engine, *, is_same: bool) -> bytes:
    """reflex_config.json of the policy with its engines. The parity record goes: it was measured without them.

    What was measured with them comes; what was measured of the ONNX stays. What was measured of engines stays only with
    the very plans that were served before: `is_same`.
    """
    config = built.config
    is_kept = is_same and config.engine == engine
    measured = tuple(one for one in config.device_parity if is_kept or one.engine == "onnx")
    measured = measured if built.measured is None else with_newest(measured, built.measured)
    changes = {
        "engine": engine,
        "inference_mode": "onnx_trt_fp16" if config.precision == "fp16" else "decomposed",
        "parity": None,
        "device_parity": measured,
        "versions": {**config.versions, engine: built.components[0].record.manifest.version},
    }
    return config.model_copy(update=changes).model_dump_json(indent=2).encode() + b"\n"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise RepositoryError(f"{path} cannot be read ({exc.strerror}); export the policy again") from exc


def _not_a_config(path: Path, reason: Exception) -> RepositoryError:
    return RepositoryError(f"{path} is no Triton model configuration: {reason}; export the policy again")
