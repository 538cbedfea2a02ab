"""policy_preprocessor.json and policy_postprocessor.json: what happens to an observation before and to a chunk after.

Known steps become settings; the graphs carry them out. A step that is not known by name, that is out of order, or that
has a setting with an effect that no graph computes is refused, since leaving it out would change the actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from reflex_export.checkpoint import Family
from reflex_export.configs.keys import refuse_unknown
from reflex_export.errors import CheckpointError, UnsupportedOptionError
from reflex_export.reading.features import VLA_FAMILIES
from reflex_export.reading.files import plain_name, read_object, typed
from reflex_export.reading.normalization import Normalization
from reflex_export.reading.statistics import Statistics, statistics_of
from reflex_export.reading.tensors import open_file

__all__ = ["POSTPROCESSOR_FILE", "PREPROCESSOR_FILE", "Processors", "Relative", "Tokenization", "read_processors"]

PREPROCESSOR_FILE: Final = "policy_preprocessor.json"
POSTPROCESSOR_FILE: Final = "policy_postprocessor.json"

RENAME: Final = "rename_observations_processor"
BATCH: Final = "to_batch_processor"
DEVICE: Final = "device_processor"
TOKENIZER: Final = "tokenizer_processor"
STATE_PROMPT: Final = "pi05_prepare_state_tokenizer_processor_step"
RELATIVE: Final = "relative_actions_processor"
NORMALIZER: Final = "normalizer_processor"
UNNORMALIZER: Final = "unnormalizer_processor"
ABSOLUTE: Final = "absolute_actions_processor"
SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    RENAME: ("rename_map",),
    DEVICE: ("device", "float_dtype"),
    # Nothing attends to what a prompt is padded with, nor does it matter how far.
    TOKENIZER: ("max_length", "task_key", "padding_side", "padding", "truncation", "tokenizer_name"),
    RELATIVE: ("enabled", "exclude_joints", "action_names"),
    NORMALIZER: ("eps", "features", "norm_map", "normalize_observation_keys"),
    UNNORMALIZER: ("eps", "features", "norm_map", "normalize_observation_keys"),
    ABSOLUTE: ("enabled",),
}
"""What is known of each step's settings; the others have none."""
_PARTS: Final = ("registry_name", "class", "config", "state_file", "artifacts")
"""Of a step."""
PROMPT_STEP: Final[Mapping[Family, str]] = {
    "smolvla": "smolvla_new_line_processor",
    "pi0": "pi0_new_line_processor",
    "pi05": STATE_PROMPT,
}


@dataclass(frozen=True)
class Tokenization:
    """The tokenizer's step."""

    tokenizer_name: str | None
    """A hub id, or a folder inside the checkpoint."""
    max_tokens: int
    padding_side: str = "right"


@dataclass(frozen=True)
class Relative:
    """Actions that are differences to the state."""

    excluded_joints: tuple[str, ...]
    action_names: tuple[str, ...] | None


@dataclass(frozen=True)
class Processors:
    """Both pipelines."""

    inputs: Normalization
    outputs: Normalization
    tokenization: Tokenization | None = None
    rename_map: Mapping[str, str] = field(default_factory=dict)
    relative: Relative | None = None
    files: frozenset[Path] = frozenset()
    """Those that they were read from."""


@dataclass(frozen=True)
class _Step:
    name: str
    config: Mapping[str, Any]
    state_file: str | None
    artifacts: Mapping[str, Any]
    origin: str


def read_processors(folder: Path, family: Family) -> Processors:
    """Both files of a checkpoint that has them."""
    prompt = PROMPT_STEP.get(family)
    text_steps = () if prompt is None else (prompt, TOKENIZER)
    before = _steps(folder / PREPROCESSOR_FILE, known=(RENAME, BATCH, *text_steps, DEVICE, RELATIVE, NORMALIZER))
    after = _steps(folder / POSTPROCESSOR_FILE, known=(UNNORMALIZER, ABSOLUTE, DEVICE))
    _check_order(before, (RENAME, RELATIVE, NORMALIZER), required=(NORMALIZER,))
    _check_order(after, (UNNORMALIZER, ABSOLUTE), required=(UNNORMALIZER,))
    if family in VLA_FAMILIES:
        state_first = (NORMALIZER,) if family == "pi05" else ()
        _check_order(before, (RENAME, *state_first, *text_steps), required=text_steps)
    return Processors(
        inputs=_normalization(before[NORMALIZER], folder),
        outputs=replace(_normalization(after[UNNORMALIZER], folder), features=None),
        tokenization=_tokenization(before[TOKENIZER]) if family in VLA_FAMILIES else None,
        rename_map=_rename_map(before.get(RENAME)),
        relative=_relative(before.get(RELATIVE), after.get(ABSOLUTE)),
        files=frozenset(
            folder / name for name in (PREPROCESSOR_FILE, POSTPROCESSOR_FILE, *_state_files(before, after))
        ),
    )


def _state_files(*pipelines: Mapping[str, _Step]) -> Iterator[str]:
    for steps in pipelines:
        yield from (step.state_file for step in steps.values() if step.state_file is not None)


def _steps(path: Path, known: Sequence[str]) -> dict[str, _Step]:
    """The steps by name, in order."""
    origin = path.name
    entries = typed(read_object(path), "steps", list, origin)
    steps: dict[str, _Step] = {}
    for entry in entries:
        step = _step(entry, origin)
        if step.name not in known:
            raise UnsupportedOptionError(
                f"{origin}: the step {step.name!r:.200} is not supported here (supported: {', '.join(known)}); "
                "leaving it out would change the actions, so save the policy without it"
            )
        if step.name in steps:
            raise UnsupportedOptionError(f"{origin}: the step {step.name} occurs twice; save the policy with one")
        refuse_unknown(SETTINGS.get(step.name, ()), step.config, step.origin, "a step of this name")
        steps[step.name] = step
    device = steps.get(DEVICE)
    if device is not None and device.config.get("float_dtype") not in (None, "float32"):
        raise UnsupportedOptionError(
            f"{origin}: {DEVICE} rounds to float_dtype={device.config['float_dtype']!r:.60}; set that to null"
        )
    return steps


def _step(entry: object, origin: str) -> _Step:
    if not isinstance(entry, dict):
        raise CheckpointError(f"{origin}: a step must be an object, but one is {entry!r:.60}; fetch the file again")
    name = entry.get("registry_name") or entry.get("class")
    if not isinstance(name, str):
        raise CheckpointError(f"{origin}: a step has no registry_name; fetch the file again")
    where = f"{origin}: {name:.100}"
    refuse_unknown(_PARTS, entry, where, "a step")
    return _Step(
        name,
        config=typed(entry, "config", dict, where, default={}),
        state_file=typed(entry, "state_file", str, where) if entry.get("state_file") is not None else None,
        artifacts=typed(entry, "artifacts", dict, where, default={}),
        origin=where,
    )


def _check_order(steps: Mapping[str, _Step], order: Sequence[str], required: Sequence[str]) -> None:
    origin = next((step.origin.partition(":")[0] for step in steps.values()), PREPROCESSOR_FILE)
    absent = [name for name in required if name not in steps]
    if absent:
        raise UnsupportedOptionError(
            f"{origin} lacks the step {absent[0]}, which this family was trained with; save the policy again with it"
        )
    found = [name for name in steps if name in order]
    if found != [name for name in order if name in steps]:
        raise UnsupportedOptionError(f"{origin} has the steps {', '.join(found)} in this order; supported is {order}")


def _normalization(step: _Step, folder: Path) -> Normalization:
    statistics: Statistics = {}
    if step.state_file is not None:
        name = plain_name(step.state_file, suffix=".safetensors", origin=step.origin)
        statistics = statistics_of(open_file(folder / name), name)
    keys = typed(step.config, "normalize_observation_keys", list, step.origin, default=[])
    return Normalization(
        modes=typed(step.config, "norm_map", dict, step.origin, default={}),
        statistics=statistics,
        eps=_eps(step),
        features=typed(step.config, "features", dict, step.origin, default={}),
        observations=None if step.config.get("normalize_observation_keys") is None else frozenset(map(str, keys)),
    )


def _eps(step: _Step) -> float:
    eps = typed(step.config, "eps", float, step.origin, default=1e-8)
    if eps < 0:
        raise CheckpointError(
            f"{step.origin}: eps is {eps:g}, which would turn values over that hardly vary; write the one that the "
            "policy was trained with (LeRobot's is 1e-08)"
        )
    return eps


def _tokenization(step: _Step) -> Tokenization:
    config, origin = step.config, step.origin
    if not typed(config, "truncation", bool, origin, default=True):
        raise UnsupportedOptionError(f"{origin}: truncation=false has no bound on the prompt's length; set it to true")
    if typed(config, "task_key", str, origin, default="task") != "task":
        raise UnsupportedOptionError(f"{origin}: task_key={config['task_key']!r:.60}; only the instruction is served")
    name = step.artifacts.get("tokenizer_name", config.get("tokenizer_name"))
    if name is not None and not isinstance(name, str):
        raise CheckpointError(f"{origin}: tokenizer_name must be a string, but is {name!r:.60}")
    return Tokenization(
        name,
        max_tokens=typed(config, "max_length", int, origin),
        padding_side=typed(config, "padding_side", str, origin, default="right"),
    )


def _rename_map(step: _Step | None) -> dict[str, str]:
    if step is None:
        return {}
    renames = typed(step.config, "rename_map", dict, step.origin, default={})
    if not all(isinstance(name, str) for pair in renames.items() for name in pair):
        raise CheckpointError(f"{step.origin}: rename_map must map names to names")
    return renames


def _relative(before: _Step | None, after: _Step | None) -> Relative | None:
    is_relative = before is not None and typed(before.config, "enabled", bool, before.origin, default=False)
    is_made_absolute = after is not None and typed(after.config, "enabled", bool, after.origin, default=False)
    if is_relative != is_made_absolute:
        raise UnsupportedOptionError(
            f"{RELATIVE} is {'on' if is_relative else 'off'} but {ABSOLUTE} is {'on' if is_made_absolute else 'off'}; "
            "enable both or neither in the processor files"
        )
    if before is None or not is_relative:
        return None
    joints = typed(before.config, "exclude_joints", list, before.origin, default=[])
    names = typed(before.config, "action_names", list, before.origin, default=[])
    return Relative(tuple(str(joint) for joint in joints if joint), tuple(map(str, names)) or None)
