"""Every file of a checkpoint's folder is read, known to be of no use to a robot, or named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from reflex_export.reading.openpi import STATISTICS
from reflex_export.reading.source import Source

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
WEIGHTS: Final = "*/*.safetensors"
"""Weights in a folder of their own; a folder of settings is its owner's."""
LOOKED_AT: Final = ("*", WEIGHTS, *STATISTICS)


def unread_files(source: Source, files: Collection[Path] = (), folders: Collection[Path] = ()) -> Iterator[str]:
    """A sentence for each file that may hold something of the policy, and that nobody here reads.

    `files` were read, and whatever is of use in `folders`. What the hub has and was not fetched is named as well.
    """
    folder = source.folder
    here = {path.relative_to(folder) for pattern in LOOKED_AT for path in folder.glob(pattern) if path.is_file()}
    inner = [owner for owner in folders if owner != folder]
    for name in sorted({*map(PurePosixPath, here), *map(PurePosixPath, source.unfetched or ())}):
        path = folder / name
        if _may_be_a_part(name) and path not in files and path.parent not in inner:
            yield f"{name} lies in the checkpoint's folder and is not read"
    if source.unfetched is None:
        yield (
            f"the hub cannot be asked which files {source.name} has besides those in the cache, so none of them is "
            "named that may be a part of the policy"
        )


def _may_be_a_part(name: PurePosixPath) -> bool:
    if len(name.parts) == 1:
        return name.suffix in DATA_SUFFIXES and KNOWN.fullmatch(name.name) is None
    return any(len(name.parts) == pattern.count("/") + 1 and name.match(pattern) for pattern in LOOKED_AT[1:])
