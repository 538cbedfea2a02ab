"""A checkpoint's files to a `Checkpoint`: a folder or a hub id in, every setting and a table of mapped tensors out.

Only this package knows how lerobot lays out a checkpoint. It reads JSON and safetensors, never a pickle, checks each
against the others, and refuses by name what the graphs would not compute. Weights are mapped, not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reflex_export.checkpoint import Checkpoint, Family, Normalizer, RelativeActions, TensorSource, Text
from reflex_export.configs import FamilyConfig, parse_config
from reflex_export.configs.smolvla import SmolVlaConfig
from reflex_export.configs.vla import VlaConfig
from reflex_export.errors import CheckpointError, StatisticsError, UnsupportedOptionError
from reflex_export.reading.adapters import (
    AdapterUse,
    MergedTensors,
    find_adapter,
    merged_adapter,
    policy_weights,
    settings_folder,
)
from reflex_export.reading.agreement import disagreements, require_agreement
from reflex_export.reading.features import ACTION, STATE, VLA_FAMILIES, Features, family_of, read_features
from reflex_export.reading.files import read_object, typed
from reflex_export.reading.given_statistics import read_given_statistics
from reflex_export.reading.layout import check_layout, embedding_name
from reflex_export.reading.leftover_files import unread_files
from reflex_export.reading.normalization import Feature, Normalization, mode_of, resolve_normalizer, with_given
from reflex_export.reading.openpi_statistics import openpi_statistics_file, read_openpi_processors
from reflex_export.reading.processors import (
    PREPROCESSOR_FILE,
    Processors,
    Relative,
    Tokenization,
    read_processors,
)
from reflex_export.reading.source import Hub, HuggingFaceHub, Source, locate
from reflex_export.reading.statistics import Statistics, require_statistics_in_weights, statistics_in_weights
from reflex_export.reading.tensors import WEIGHTS_FILE, SafetensorsTensors, weights_files
from reflex_export.reading.tokenizer import Vocabulary, find_tokenizer, read_text_settings
from reflex_export.reading.vlm import Vlm, find_vlm

__all__ = ["Hub", "HuggingFaceHub", "SafetensorsTensors", "read_checkpoint"]

_PALIGEMMA = "google/paligemma-3b-pt-224"
"""The tokenizer of pi checkpoints that are older than the processor files."""


def read_checkpoint(
    source: str | Path,
    *,
    vlm: Path | None = None,
    tokenizer: Path | None = None,
    revision: str | None = None,
    stats: Path | None = None,
    base: str | None = None,
    adapter: AdapterUse | None = None,
    hub: Hub | None = None,
) -> Checkpoint:
    """Read a policy from a folder or a hub id.

    `vlm` is the folder of SmolVLA's VLM config and `tokenizer` the tokenizer's, where the checkpoint lacks them;
    `revision` is a branch, tag or commit of a hub id; `stats` brings statistics, which go before the checkpoint's own.
    `base` is the folder or hub id of an adapter's base model, where the adapter does not lead to it, and `adapter` says
    what an adapter beside whole weights is for. Raises `CheckpointError`, which says what to do next.
    """
    hub = HuggingFaceHub() if hub is None else hub
    found = locate(source, revision, hub)
    adapted = find_adapter(found, use=adapter, base=base, hub=hub)
    own, beside = found, adapted.others if adapted else ()
    found = replace(found, folder=settings_folder(own.folder, adapted))
    written = read_object(found.folder / "config.json")
    family = family_of(written)
    config = parse_config(family, written)
    tensors = policy_weights(own, family, adapted)
    given = {} if stats is None else read_given_statistics(stats)
    processors = _with_given(_processors(found.folder, family, written, tensors, may_lack=bool(given)), given)
    features = read_features(family, config, written, processors.rename_map)
    require_agreement(config, processors, features)
    vlm_found = _vlm(found.folder, config, given=vlm, hub=hub, beside=beside)
    if isinstance(config, VlaConfig):
        check_layout(family, config, vlm_found.config if vlm_found else None, tensors)
    checkpoint = Checkpoint(
        family=family,
        config=config,
        tensors=tensors,
        cameras=features.cameras,
        state_dim=features.state_dim,
        action_dim=features.action_dim,
        state=resolve_normalizer(processors.inputs, Feature(STATE, "STATE", (features.state_dim,))),
        action=resolve_normalizer(processors.outputs, Feature(ACTION, "ACTION", (features.action_dim,))),
        images=_image_normalizers(family, features, processors.inputs),
        text=_text(found, family, processors, vlm_found, tensors, tokenizer, hub, beside),
        vlm_config=vlm_found.config if vlm_found else None,
        relative_actions=_relative_actions(processors.relative, features),
        adapter=merged_adapter(adapted),
        source=found.name,
        revision=found.revision,
        warnings=(
            *_odd_weights(tensors),
            *disagreements(found.folder, config, written, processors, features),
            *_unread(own, found.folder, adapted.base if adapted else own, processors, vlm_found),
        ),
    )
    if stats is not None:
        _require_use(stats, given, checkpoint)
    return checkpoint


def _odd_weights(tensors: TensorSource) -> Iterator[str]:
    wrapping = getattr(tensors, "wrapping", "")
    if wrapping:
        yield f"every tensor's name begins with {wrapping}, as of a policy saved while wrapped: read without it"
    if isinstance(tensors, MergedTensors) and tensors.are_the_base():
        yield "the adapter changes nothing (its lora_alpha or all of its lora_B are zero): the base model is exported"


def _unread(own: Source, settings: Path, weights: Source, processors: Processors, vlm: Vlm | None) -> Iterator[str]:
    """Of the checkpoint that was named, and of the one with the settings where that is another."""
    files = processors.files | weights_files(weights.folder)
    folders = {weights.folder} if vlm is None else {weights.folder, vlm.folder}
    for source in (own,) if settings == own.folder else (own, weights):
        yield from unread_files(source, files, folders)


def _vlm(folder: Path, config: FamilyConfig, *, given: Path | None, hub: Hub, beside: Sequence[Path]) -> Vlm | None:
    if not isinstance(config, SmolVlaConfig):
        return None
    return find_vlm(folder, config.vlm_model_name, given=given, hub=hub, beside=beside)


def _processors(
    folder: Path, family: Family, config: Mapping[str, Any], tensors: TensorSource, *, may_lack: bool
) -> Processors:
    """`may_lack`: statistics from elsewhere stand in for those that an old checkpoint lacks."""
    if (folder / PREPROCESSOR_FILE).is_file():
        return read_processors(folder, family)
    openpi = openpi_statistics_file(folder, family)
    if openpi is not None:
        return read_openpi_processors(openpi, family, config, _PALIGEMMA)
    return _processors_before_files(family, config, tensors, may_lack=may_lack)


def _with_given(processors: Processors, given: Statistics) -> Processors:
    """A dataset has the client's names, so they are renamed as observations are."""
    renamed = {processors.rename_map.get(name, name): found for name, found in given.items()}
    return replace(
        processors, inputs=with_given(processors.inputs, renamed), outputs=with_given(processors.outputs, renamed)
    )


def _require_use(stats: Path, given: Statistics, checkpoint: Checkpoint) -> None:
    origins = {found.origin for found in given.values()}
    normalizers = (checkpoint.state, checkpoint.action, *checkpoint.images.values())
    if not any(normalizer.origin in origins for normalizer in normalizers):
        raise StatisticsError(
            f"--stats {stats} has statistics of {', '.join(given)}, and this policy normalises none of "
            "it; give those of the dataset that it was trained on, or leave --stats out"
        )


def _processors_before_files(
    family: Family, config: Mapping[str, Any], tensors: TensorSource, *, may_lack: bool
) -> Processors:
    """What lerobot did before 0.4, when the steps lay in its code and the statistics in the weights."""
    if config.get("use_relative_actions"):
        raise CheckpointError(f"use_relative_actions needs {PREPROCESSOR_FILE}, which is missing; fetch it")
    modes = typed(config, "normalization_mapping", dict, "config.json")
    names = (*typed(config, "input_features", dict, "config.json", default={}), STATE, ACTION)
    is_normalised = any(mode_of(mode, kind) != "IDENTITY" for kind, mode in modes.items())
    if is_normalised and not may_lack:
        require_statistics_in_weights(tensors)
    statistics = statistics_in_weights(tensors, names, WEIGHTS_FILE) if is_normalised else {}
    tokenization = None
    if family in VLA_FAMILIES:
        name = config.get("vlm_model_name") if family == "smolvla" else _PALIGEMMA
        tokenization = Tokenization(name, typed(config, "tokenizer_max_length", int, "config.json"))
    normalization = Normalization(modes, statistics)
    return Processors(normalization, normalization, tokenization)


def _image_normalizers(family: Family, features: Features, inputs: Normalization) -> dict[str, Normalizer]:
    normalizers = {
        camera.key: resolve_normalizer(inputs, Feature(camera.key, "VISUAL", (camera.shape[0], 1, 1)))
        for camera in features.cameras
    }
    for key, normalizer in normalizers.items():
        if family in VLA_FAMILIES and normalizer.statistics:
            raise UnsupportedOptionError(
                f"{key} is normalised by {normalizer.mode}; {family} takes pixels as they are (VISUAL: IDENTITY)"
            )
    return normalizers


def _relative_actions(relative: Relative | None, features: Features) -> RelativeActions | None:
    """A joint stays absolute when an excluded name is part of its own; without names all are relative."""
    if relative is None:
        return None
    if features.state_dim < features.action_dim:
        raise UnsupportedOptionError(
            f"relative actions need a state entry per action, but there are {features.state_dim} for "
            f"{features.action_dim} actions; train with absolute actions"
        )
    excluded = [joint.lower() for joint in relative.excluded_joints]
    names = [name.lower() for name in relative.action_names or ()][: features.action_dim]
    named = [not any(joint in name for joint in excluded) for name in names]
    return RelativeActions((*named, *[True] * (features.action_dim - len(named))))


def _text(
    found: Source,
    family: Family,
    processors: Processors,
    vlm: Vlm | None,
    tensors: TensorSource,
    given: Path | None,
    hub: Hub,
    others: Sequence[Path],
) -> Text | None:
    if processors.tokenization is None:
        return None
    name = processors.tokenization.tokenizer_name
    beside = others if vlm is None else (vlm.folder, *others)
    folder = find_tokenizer(found.folder, name, given=given, beside=beside, hub=hub)
    return read_text_settings(folder, processors.tokenization, _vocabulary(family, vlm, tensors))


def _vocabulary(family: Family, vlm: Vlm | None, tensors: TensorSource) -> Vocabulary:
    rows = tensors.shape(embedding_name(family, tensors))[0]
    image_id = None if vlm is None else vlm.config.image_token_id
    known = {} if image_id is None else {"<image>": image_id}
    return Vocabulary(rows, known, starts_with_bos=family != "smolvla")
