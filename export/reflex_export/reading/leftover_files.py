"""Every file of a checkpoint's folder is read, known to be of no use to a robot, or named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from reflex_export.reading.openpi import statistics_files

__all__ = ["unread_files"]

DATA_SUFFIXES: Final = (".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".npz", ".npy", ".msgpack")
"""What could be a part of a policy. Cards, licences and pictures are not."""
KNOWN: Final = re.compile(
    r"config\.json|adapter_config\.json|adapter_model\.safetensors|train_config\.json|case_\w+\.npz"
    # What a tokenizer and a trainer leave beside them.
    r"|tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|preprocessor_config\.json"
    r"|processor_config\.json|chat_template\.json|generation_config\.json|trainer_state\.json|training_step\.json"
    r"|(optimizer|scheduler)_\w+\.(json|safetensors)|optimizer\.pt|scheduler\.pt|training_args\.bin"
)
_WEIGHTS: Final = "*/*.safetensors"
"""Weights in a folder of their own; a folder of settings is its owner's."""


def unread_files(folder: Path, files: Collection[Path] = (), folders: Collection[Path] = ()) -> Iterator[str]:
    """A sentence for each file that may hold something of the policy, and that nobody here reads.

    `files` were read, and whatever is of use in `folders`.
    """
    beside = [path for path in folder.iterdir() if path.suffix in DATA_SUFFIXES and not KNOWN.fullmatch(path.name)]
    inside = [path for path in folder.glob(_WEIGHTS) if path.parent not in folders]
    for path in sorted([*beside, *inside, *statistics_files(folder)]):
        if path.is_file() and path not in files:
            yield f"{path.relative_to(folder)} lies in the checkpoint's folder and is not read"
