"""A policy's tensors: its own, or those of its base model with the adapter merged into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from reflex_export.checkpoint import Family, MergedAdapter, TensorSource
from reflex_export.errors import CheckpointError, MissingTensorError, TensorShapeError, UnsupportedOptionError
from reflex_export.reading.adapters.adapter_config import ADAPTER_CONFIG_FILE, AdapterConfig, read_adapter_config
from reflex_export.reading.adapters.merging import Addition, MergedTensors, Origin, addition_of
from reflex_export.reading.adapters.names import AdapterNames, has_adapter_tensors, sort_names
from reflex_export.reading.adapters.place import ADAPTER_FILE, AdapterPlace
from reflex_export.reading.layout import embedding_names, stored_name
from reflex_export.reading.source import Source
from reflex_export.reading.tensors import WEIGHTS_FILE, open_file, open_weights, weights_files

__all__ = ["merge", "merged_adapter", "policy_weights"]

_NEVER_READ: Final = "lm_head"
"""A base model's file may lack its head, which no action depends on; an adapter of all linear layers has one for it."""


def policy_weights(found: Source, family: Family, adapted: AdapterPlace | None) -> TensorSource:
    """`CheckpointError` when the weights wear an adapter that nothing says how to merge, or it does not fit them."""
    if adapted is None:
        return _without_adapter(found)
    config = read_adapter_config(adapted.folder)
    base = open_weights(adapted.base.folder, adapted.base.unfetched or ())
    if has_adapter_tensors(base.names()) != adapted.is_inside:
        raise _elsewhere(adapted)
    adapter = base if adapted.is_inside else open_file(adapted.folder / ADAPTER_FILE)
    return merge(family, base, adapter, config)


def merged_adapter(adapted: AdapterPlace | None) -> MergedAdapter | None:
    """What there is to record of it; the weights of a base model that no commit names are to be hashed."""
    if adapted is None:
        return None
    config, base = read_adapter_config(adapted.folder), adapted.base
    return MergedAdapter(
        kind="dora" if config.is_dora else "lora",
        rank=config.rank,
        alpha=config.alpha,
        is_rank_stabilized=config.is_rank_stabilized,
        base=base.label,
        base_files=() if base.revision else tuple(sorted(weights_files(base.folder))),
    )


def merge(family: Family, base: TensorSource, adapter: TensorSource, config: AdapterConfig) -> MergedTensors:
    """Both may be the same: weights that wear their adapter."""
    file = WEIGHTS_FILE if adapter is base else ADAPTER_FILE
    names = sort_names(adapter.names(), file)
    config.require_targets(names.modules)
    own = names if adapter is base else sort_names(base.names(), WEIGHTS_FILE)
    config.require_complete(names.modules, _layers(base, own, names))
    if adapter is not base:
        config.require_saved(names.whole, own.whole)
    origins = _with_embedding(family, {name: Origin(base, stored) for name, stored in own.whole.items()})
    if adapter is not base:
        origins |= _replaced(names, adapter, origins)
    merged = MergedTensors(base, origins, *_additions(names, adapter, config, frozenset(origins), file))
    merged.check_shapes()
    return merged


def _layers(base: TensorSource, own: AdapterNames, names: AdapterNames) -> Iterator[str]:
    """Modules that LoRA could be about, and that the adapter does not bring whole."""
    for name, stored in own.whole.items():
        is_layer = name.endswith(".weight") and len(base.shape(stored)) > 1 and _NEVER_READ not in name
        if is_layer and (own is names or name not in names.whole):
            yield name.removesuffix(".weight")


def _without_adapter(found: Source) -> TensorSource:
    folder = found.folder
    tensors = open_weights(folder, found.unfetched or ())
    if has_adapter_tensors(tensors.names()):
        is_ignored = (folder / ADAPTER_CONFIG_FILE).is_file()
        remedy = (
            "leave --adapter ignore out" if is_ignored else f"put {ADAPTER_CONFIG_FILE} beside them, which says how"
        )
        raise CheckpointError(f"{folder} has an adapter's tensors among its weights, to be merged: {remedy}")
    return tensors


def _elsewhere(adapted: AdapterPlace) -> CheckpointError:
    if adapted.is_inside:
        return CheckpointError(
            f"{adapted.folder} has an {ADAPTER_CONFIG_FILE}, but neither {ADAPTER_FILE} nor an adapter's tensors among "
            "its weights: fetch the adapter, or export the weights as they are with --adapter ignore"
        )
    return CheckpointError(
        f"{adapted.base.folder} has an adapter's tensors among its weights, so it is no base model for {ADAPTER_FILE}; "
        "give the one that the adapter was trained on as --base"
    )


def _with_embedding(family: Family, origins: dict[str, Origin]) -> dict[str, Origin]:
    """The text embedding by its own name too: the head's, to which it is tied in old files, is another layer's."""
    found = [stored_name(frozenset(origins), name) for name in embedding_names(family)]
    other = next(filter(None, found), None)
    return origins if not found or found[0] or other is None else origins | {embedding_names(family)[0]: origins[other]}


def _replaced(names: AdapterNames, adapter: TensorSource, origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """Layers that were trained as a whole, and trained biases."""
    known = frozenset(origins)
    replaced: dict[str, Origin] = {}
    for name, stored in names.whole.items():
        target = _target(name, known)
        if target is None:
            continue
        if adapter.shape(stored) != origins[target].shape():
            raise TensorShapeError(
                f"{ADAPTER_FILE} has {stored} of the shape {list(adapter.shape(stored))}, the base model of "
                f"{list(origins[target].shape())}: give the base model that it was trained on as --base"
            )
        replaced[target] = Origin(adapter, stored)
    return replaced


def _additions(
    names: AdapterNames, adapter: TensorSource, config: AdapterConfig, known: frozenset[str], file: str
) -> tuple[dict[str, Addition], dict[str, tuple[Origin, float]]]:
    weights: dict[str, Addition] = {}
    biases: dict[str, tuple[Origin, float]] = {}
    for module, parts in names.modules.items():
        addition = addition_of(module, parts, adapter, file)
        _require_options(module, parts, config)
        scaling = config.scaling(module, addition.rank)
        weight = _target(f"{module}.weight", known)
        if weight is not None:
            weights[weight] = replace(addition, scaling=scaling)
        bias = _target(f"{module}.bias", known) if "lora_B.bias" in parts else None
        if bias is not None:
            biases[bias] = Origin(adapter, parts["lora_B.bias"]), scaling
    return weights, biases


def _require_options(module: str, parts: Mapping[str, str], config: AdapterConfig) -> None:
    for part, option, is_on in (
        ("lora_magnitude_vector", "use_dora", config.is_dora),
        ("lora_B.bias", "lora_bias", config.has_bias),
    ):
        if (part in parts) != is_on:
            raise UnsupportedOptionError(
                f"{config.origin}: {option} is {str(is_on).lower()}, but {module} "
                f"{'has' if part in parts else 'lacks'} {part}: these files are of two adapters; fetch both again"
            )


def _target(name: str, known: frozenset[str]) -> str | None:
    """The base model's name of a tensor that the adapter changes; None for one that nothing reads."""
    found = stored_name(known, name.removeprefix("model."))
    if found is None and _NEVER_READ not in name:
        raise MissingTensorError(
            f"the adapter changes {name}, which its base model lacks: it was trained on another one; give that one as "
            "--base"
        )
    return found
