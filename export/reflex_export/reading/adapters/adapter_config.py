"""adapter_config.json: which adapter it is, how strongly it counts, and which base model it belongs to.

Read are the options of LoRA that change a merged weight; whatever else is switched on is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex_export.errors import CheckpointError, UnsupportedOptionError
from reflex_export.reading.adapters.patterns import NamePattern, compile_pattern
from reflex_export.reading.files import read_object, typed

__all__ = ["ADAPTER_CONFIG_FILE", "AdapterConfig", "read_adapter_config"]

ADAPTER_CONFIG_FILE: Final = "adapter_config.json"

_READ: Final = frozenset(
    {
        *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "use_dora", "lora_bias"),
        *("target_modules", "base_model_name_or_path", "revision", "init_lora_weights"),
    }
)
_WITHOUT_EFFECT: Final = frozenset(
    {
        # What was trained; the tensors' names say it again.
        *("bias", "modules_to_save", "exclude_modules", "layers_to_transform", "layers_pattern"),
        # PEFT turns this off for linear layers, and these policies have no others that it is about.
        "fan_in_fan_out",
        # Of training, or settings of an option that is itself off.
        *("task_type", "inference_mode", "lora_dropout", "peft_version", "auto_mapping", "megatron_core"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "runtime_config"),
    }
)
_BASE_IS_LEFT: Final = (None, True, False, "gaussian", "eva", "orthogonal")
"""The ways to begin that leave the base model as it is; others take the first adapter out of its weights."""
_LARGEST_ALPHA: Final = 1e6
"""Trainers use some hundreds at most; what is far above drowns the base model's weights, or overflows."""
_ALL_LINEAR: Final = "all-linear"
_OF_SOME_LAYERS: Final = ("exclude_modules", "layers_to_transform", "layers_pattern")
_NOTHING: Final[tuple[object, ...]] = (None, [], "")
_MODEL: Final = "model."
"""What a policy's names may begin with."""


@dataclass(frozen=True)
class AdapterConfig:
    """A LoRA adapter's settings."""

    origin: str
    base: str | None
    """The base model's hub id or folder, as the training knew it."""
    revision: str | None
    rank: int
    alpha: float
    rank_pattern: Mapping[NamePattern, int]
    alpha_pattern: Mapping[NamePattern, float]
    is_rank_stabilized: bool
    is_dora: bool
    has_bias: bool
    targets: NamePattern | frozenset[str] | None
    """A regular expression over whole names, or ends of names; None: all linear layers."""
    is_of_some_layers: bool = False
    """Other options take layers out of those that `targets` names."""
    saved: tuple[str, ...] = ()
    """Modules that were trained as a whole."""

    def scaling(self, module: str, rank: int) -> float:
        """What a module's B @ A is multiplied with; `rank` is that of its tensors, which must be the config's."""
        wanted = _by_pattern(self.rank_pattern, module, self.rank)
        if rank != wanted:
            raise CheckpointError(
                f"{self.origin} gives {module} the rank {wanted}, but its tensors have {rank}: these files are of two "
                "adapters; fetch both again"
            )
        alpha: float = _by_pattern(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.is_rank_stabilized else rank)

    def require_targets(self, modules: Iterable[str]) -> None:
        """Every module with tensors of the adapter is one that the config names."""
        strangers = [module for module in sorted(modules) if not self._is_target(module)]
        if strangers:
            raise CheckpointError(
                f"{self.origin}: target_modules does not name {strangers[0]}, for which there are tensors: these files "
                "are of two adapters; fetch both again"
            )

    def require_complete(self, modules: Collection[str], layers: Iterable[str]) -> None:
        """Every layer of the base model that the config names has tensors; `layers` are those that could have any."""
        if self.targets is None or self.is_of_some_layers:
            return
        bare, prefix = {_bare(module) for module in modules}, _MODEL if any(map(_is_prefixed, modules)) else ""
        for layer in sorted(layers):
            if _bare(layer) not in bare and self._is_target(prefix + _bare(layer)):
                raise self._incomplete("target_modules", layer)

    def require_saved(self, whole: Iterable[str], base: Iterable[str]) -> None:
        """Every module that was trained as a whole is among the `whole` tensors, where the base model has it."""
        found, there = ([f".{name}." for name in names] for names in (whole, base))
        for module in self.saved:
            is_in = [any(f".{module}." in name for name in names) for names in (found, there)]
            if is_in == [False, True]:
                raise self._incomplete("modules_to_save", module)

    def _incomplete(self, option: str, module: str) -> CheckpointError:
        return CheckpointError(
            f"{self.origin}: {option} names {module:.150}, for which there are no tensors, so it would stay as in the "
            "base model: the adapter is incomplete, or these files are of two adapters; fetch both again"
        )

    def _is_target(self, module: str) -> bool:
        if self.targets is None:
            return True
        if isinstance(self.targets, NamePattern):
            return self.targets.is_whole(module)
        parts = module.split(".")
        return any(".".join(parts[place:]) in self.targets for place in range(len(parts)))


def read_adapter_config(folder: Path) -> AdapterConfig:
    """The folder's; `UnsupportedOptionError` names what cannot be merged."""
    values = read_object(folder / ADAPTER_CONFIG_FILE)
    origin = ADAPTER_CONFIG_FILE
    _refuse_unmergeable(values, origin)
    found = AdapterConfig(
        origin=origin,
        base=typed(values, "base_model_name_or_path", str, origin, default="") or None,
        revision=typed(values, "revision", str, origin, default="") or None,
        rank=typed(values, "r", int, origin, default=8),
        alpha=typed(values, "lora_alpha", float, origin, default=8.0),
        rank_pattern=_pattern(values, "rank_pattern", int, origin),
        alpha_pattern=_pattern(values, "alpha_pattern", float, origin),
        is_rank_stabilized=typed(values, "use_rslora", bool, origin, default=False),
        is_dora=typed(values, "use_dora", bool, origin, default=False),
        has_bias=typed(values, "lora_bias", bool, origin, default=False),
        targets=_targets(values.get("target_modules"), origin),
        is_of_some_layers=any(values.get(option) not in _NOTHING for option in _OF_SOME_LAYERS),
        saved=tuple(map(str, typed(values, "modules_to_save", list, origin, default=[]))),
    )
    ranks, alphas = (found.rank, *found.rank_pattern.values()), (found.alpha, *found.alpha_pattern.values())
    if min(ranks) < 1 or not all(abs(alpha) <= _LARGEST_ALPHA for alpha in alphas):
        raise CheckpointError(
            f"{origin}: ranks must be at least 1, and alphas within ±{_LARGEST_ALPHA:g}; fetch the adapter again"
        )
    return found


def _refuse_unmergeable(values: Mapping[str, Any], origin: str) -> None:
    kind = values.get("peft_type")
    if kind != "LORA":
        raise UnsupportedOptionError(f"{origin}: peft_type is {kind!r:.60}, and only LORA is merged here; {_BY_PEFT}")
    active = [name for name in sorted(values) if name not in _READ | _WITHOUT_EFFECT and values[name]]
    if active:
        raise UnsupportedOptionError(f"{origin}: {active[0]:.60} is set, which is not merged here; {_BY_PEFT}")
    start = values.get("init_lora_weights")
    if start not in _BASE_IS_LEFT:
        raise UnsupportedOptionError(
            f"{origin}: init_lora_weights={start!r:.60} changed the base model as well; save the adapter with "
            "PEFT's path_initial_model_for_weight_conversion, or " + _BY_PEFT
        )


_BY_PEFT: Final = "merge it with PEFT's merge_and_unload, save the policy, and export that"


def _is_prefixed(module: str) -> bool:
    return module.startswith(_MODEL)


def _bare(module: str) -> str:
    return module.removeprefix(_MODEL)


def _pattern(values: Mapping[str, Any], key: str, kind: type[int | float], origin: str) -> dict[NamePattern, Any]:
    found, what = typed(values, key, dict, origin, default={}), f"{origin}: {key}"
    return {compile_pattern(expression, what): typed(found, expression, kind, what) for expression in found}


def _by_pattern(pattern: Mapping[NamePattern, Any], module: str, default: Any) -> Any:  # noqa: ANN401  # an int or a float
    """The first entry whose expression is the end of the name."""
    return next((value for key, value in pattern.items() if key.is_end(module)), default)


def _targets(value: object, origin: str) -> NamePattern | frozenset[str] | None:
    if value == _ALL_LINEAR:
        return None
    if isinstance(value, str):
        return compile_pattern(value, f"{origin}: target_modules")
    if not isinstance(value, list) or not all(isinstance(target, str) for target in value):
        raise CheckpointError(f"{origin}: target_modules must be names or an expression, but is {value!r:.60}")
    return frozenset(value)
