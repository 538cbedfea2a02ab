"""A policy checkpoint as the exporter sees it, whatever files it was read from.

`reflex_export.reading` makes one from a folder or a hub id; the modules in `reflex_export.families` turn one into
graphs. Every number a graph needs is in here or in the tensors' shapes; none is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from reflex_export.configs import Family, FamilyConfig
from reflex_export.configs.vlm import VlmConfig

__all__ = [
    "LAYER_NUMBER",
    "NEEDED",
    "Camera",
    "Checkpoint",
    "Family",
    "MergedAdapter",
    "NormalizationMode",
    "Normalizer",
    "RelativeActions",
    "TensorSource",
    "Text",
]

NormalizationMode = Literal["IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10"]
NEEDED: Final[Mapping[NormalizationMode, tuple[str, ...]]] = {
    "IDENTITY": (),
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""The statistics that a mode computes with."""


LAYER_NUMBER: Final = "[0-9]{1,4}"
"""In a tensor's name. A network has some tens of layers, and a name may hold any digits."""


class TensorSource(Protocol):
    """The checkpoint's tensors by the names in its files, memory-mapped: nothing is read before `load`."""

    def names(self) -> frozenset[str]: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def load(self, name: str) -> npt.NDArray[Any]:
        """The tensor in its stored type (bfloat16 as ml_dtypes.bfloat16), a view of the file where possible.

        `CheckpointError` names a tensor that is missing.
        """
        ...


@dataclass(frozen=True)
class Normalizer:
    """How one feature is normalised (facts: lerobot's normalize_processor).

    MEAN_STD: (x - mean) / (std + eps), inverse x * std + mean. MIN_MAX: 2 (x - min) / (max - min) - 1, inverse
    (x + 1) / 2 * (max - min) + min; QUANTILES the same with q01/q99, QUANTILE10 with q10/q90; a zero range counts
    as eps. IDENTITY: unchanged; every other mode has the statistics that it needs.
    """

    mode: NormalizationMode
    statistics: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """mean, std, min, max, q01, q99, q10, q90: float32, as long as the feature (images: [3, 1, 1])."""
    eps: float = 1e-8
    origin: str = ""
    """The file that the statistics are from."""
    replaces: str = ""
    """The checkpoint's own file, whose other numbers they took the place of; empty where there was none."""


@dataclass(frozen=True)
class Camera:
    """One image feature, in the order of config.json."""

    key: str
    """The feature's whole name, `observation.images.top`."""
    name: str
    """The name that clients use: `key` without `observation.images.`, after the rename map."""
    shape: tuple[int, int, int]
    """Channels, height, width of the training images."""
    is_empty: bool = False
    """One of `empty_cameras`: never sent by a client."""


@dataclass(frozen=True)
class Text:
    """How an instruction becomes tokens."""

    tokenizer_json: str
    """The content of tokenizer.json."""
    max_tokens: int
    padding_side: Literal["right", "left"]
    truncation_side: Literal["right", "left"]
    pad_id: int


@dataclass(frozen=True)
class RelativeActions:
    """Actions are differences to the state for these axes (True), absolute for the others."""

    mask: tuple[bool, ...]


@dataclass(frozen=True)
class MergedAdapter:
    """An adapter that was merged into the weights of its base model."""

    kind: Literal["lora", "dora"]
    rank: int
    """Of what no pattern of its own names."""
    alpha: float
    is_rank_stabilized: bool
    base: str
    """A hub id with its commit, or a folder's name."""
    base_files: tuple[Path, ...] = ()
    """The base model's weights, where that name alone does not say which they are."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that defines a policy."""

    family: Family
    config: FamilyConfig
    """The options of config.json, each checked; of the family's own class."""
    tensors: TensorSource
    cameras: tuple[Camera, ...]
    state_dim: int
    action_dim: int
    state: Normalizer
    action: Normalizer
    images: Mapping[str, Normalizer]
    """By camera key; VISUAL normalisation, IDENTITY for the VLA families."""
    text: Text | None
    """None for ACT and Diffusion Policy."""
    vlm_config: VlmConfig | None = None
    """SmolVLA: the config.json of `vlm_model_name`."""
    relative_actions: RelativeActions | None = None
    adapter: MergedAdapter | None = None
    """What `tensors` have in them besides the base model's."""
    source: str = ""
    """Hub id or folder name, for the record."""
    revision: str | None = None
    warnings: tuple[str, ...] = ()
    """What whoever exports it should know: a sentence each, with the file and what counts."""
