"""Checkpoints that openpi saved, recognised by their files: what they lack is in the code that trained them.

Their weights have the names that are read here. But which cameras there are, whether actions are differences to the
state, and whether pi0.5 was trained with the state in its prompt stands in openpi's training config, which is Python.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from reflex.wording.guides import guide
from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading.files import read_object
from reflex_export.reading.tensors import WEIGHTS_FILE, open_file

__all__ = ["STATISTICS", "refuse_openpi", "statistics_files"]

_CONFIG_KEYS: Final = frozenset({"paligemma_variant", "action_expert_variant"})
"""Of the config.json that openpi's converter writes; lerobot's has them too, and a type."""
_ORBAX_FILES: Final = ("_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA")
STATISTICS: Final = ("assets/*/norm_stats.json", "assets/*/*/norm_stats.json")
_WEIGHTS: Final = "paligemma_with_expert."


def refuse_openpi(folder: Path, unfetched: Collection[str] = ()) -> None:
    """`SourceError` says how to go on, when it is one and no config.json of lerobot lies beside the weights.

    `unfetched` are files that its repository has besides.
    """
    kind = _kind(folder, unfetched)
    if kind == "jax":
        raise SourceError(
            f"This is an openpi checkpoint ({folder}) whose weights lie in params/, as JAX saves them, which is not "
            "read here: run openpi's `examples/convert_jax_model_to_pytorch.py --checkpoint_dir FOLDER --config_name "
            f"NAME --output_path CONVERTED --precision float32`, then go on with CONVERTED as in "
            f"{guide('export', 'openpi')}"
        )
    if kind == "pytorch":
        raise SourceError(
            f"This is an openpi checkpoint ({folder}): its weights can be read, but its cameras, and what its state "
            "and actions mean, stand in openpi's training config only; put a config.json of lerobot with them beside "
            f"{WEIGHTS_FILE}, as in {guide('export', 'openpi')}"
        )


def statistics_files(folder: Path) -> list[Path]:
    """Each norm_stats.json under assets/, whose ids may have a slash."""
    return sorted(path for pattern in STATISTICS for path in folder.glob(pattern))


def _kind(folder: Path, unfetched: Collection[str]) -> Literal["jax", "pytorch"] | None:
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    if "type" in config:
        return None
    orbax = [f"{place}{name}" for place in ("", "params/") for name in _ORBAX_FILES]
    if any((folder / name).exists() or name in unfetched for name in orbax):
        return "jax"
    if statistics_files(folder) or not _CONFIG_KEYS.isdisjoint(config) or (not config and _has_weights(folder)):
        return "pytorch"
    return None


def _has_weights(folder: Path) -> bool:
    with suppress(CheckpointError):
        return any(name.startswith(_WEIGHTS) for name in open_file(folder / WEIGHTS_FILE).names())
    return False
