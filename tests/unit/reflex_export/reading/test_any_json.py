"""Whatever a checkpoint's JSON says, it is read or refused with a message; it never ends in another exception."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reflex_export.errors import CheckpointError
from reflex_export.reading import read_checkpoint
from support.checkpoints.adapted import adapter_folder
from support.checkpoints.golden import golden_folder
from unit.reflex_export.reading.damage import EmptyHub

STRANGE: tuple[Any, ...] = (None, True, -1, 0, 2**80, 1.5, "", "../x", "é\0", [], [[]], [{}], {}, {"a": {}}, {"b": [1]})
CONFIG_FILES = ("config.json", "policy_preprocessor.json", "policy_postprocessor.json")
FILES = [
    *((name, file) for name in ("smolvla", "pi0", "pi05", "act", "diffusion") for file in CONFIG_FILES),
    *((name, "tokenizer/tokenizer_config.json") for name in ("smolvla", "pi0", "pi05")),
    ("smolvla", "vlm/config.json"),
]


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(content[key], (*path, key))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(content)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def refused_values(folder: Path, file: str, hub: EmptyHub) -> int:
    """How many strange values in that file are refused; the others are read."""
    content = json.loads((folder / file).read_text())
    refused = 0
    for number, path in enumerate(places(content)):
        # Every third value of the list at each place; each of the thirds meets every kind of field.
        for value in STRANGE[number % 3 :: 3]:
            (folder / file).write_text(json.dumps(replaced(content, path, value)))
            try:
                read_checkpoint(folder, hub=hub)
            except CheckpointError:
                refused += 1
    return refused


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_strange_value_anywhere_is_read_or_refused(tmp_path: Path, hub: EmptyHub, name: str, file: str) -> None:
    folder = Path(shutil.copytree(golden_folder(name), tmp_path / name, ignore=shutil.ignore_patterns("*.npz")))

    assert refused_values(folder, file, hub) > 0


def test_so_is_one_in_the_config_of_an_adapter(tmp_path: Path, hub: EmptyHub) -> None:
    assert refused_values(adapter_folder(tmp_path / "adapter", "smolvla"), "adapter_config.json", hub) > 0
