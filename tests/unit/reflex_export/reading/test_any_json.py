"""Whatever a checkpoint's JSON says, it is read or refused with a message; it never ends in another exception.

REFLEX_STRANGE_EVERY says which of the strange values are tried at each place: every so many-th of the list (7).
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.files import parse_object, read_object, typed
from support.checkpoints.adapted import adapter_folder
from support.checkpoints.golden import golden_folder
from unit.reflex_export.reading.damage import CopyCheckpoint, EmptyHub, edit_json, edit_step

BEYOND = 10**400
STRANGE: tuple[Any, ...] = (None, True, -1, 0, 2**80, 1.5, "", "../x", "é\0", [], [[]], [{}], {}, {"a": {}}, {"b": [1]})
EVERY = int(os.environ.get("REFLEX_STRANGE_EVERY", "7"))
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
        # Another part of the list at the next place; each of the parts meets every kind of field.
        for value in STRANGE[number % EVERY :: EVERY]:
            (folder / file).write_text(json.dumps(replaced(content, path, value)))
            try:
                read_checkpoint(folder, hub=hub)
            except CheckpointError:
                refused += 1
    return refused


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_strange_value_anywhere_is_read_or_refused(tmp_path: Path, hub: EmptyHub, name: str, file: str) -> None:
    folder = Path(shutil.copytree(golden_folder(name), tmp_path / name, ignore=shutil.ignore_patterns("*.npz")))

    assert refused_values(folder, file, hub) > 0


@pytest.mark.slow
def test_so_is_one_in_the_config_of_an_adapter(tmp_path: Path, hub: EmptyHub) -> None:
    assert refused_values(adapter_folder(tmp_path / "adapter", "smolvla"), "adapter_config.json", hub) > 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1' + "0" * 400 + "}", r"config: 10+ is no finite number; correct it"),
        ('{"a": [{"b": -1' + "0" * 5000 + "}]}", r"config: -10+ is no finite number; correct it"),
        ('{"a": 1e400}', "config: 1e400 is no finite number"),
        ('{"a": NaN}', "config: NaN is no finite number"),
        ('{"a": 1, "b": 2, "a": 1}', "config: the name 'a' occurs twice; correct it"),
        ('{"x": [{"a": 1, "a": 2}]}', "config: the name 'a' occurs twice"),
        ('{"a": }', "config is no JSON"),
        ("[" * 100_000, "config is no JSON"),
        ("[]", "config must hold a JSON object"),
    ],
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{reason}"):
        parse_object(text, "config")


def test_the_largest_whole_numbers_that_a_float_holds_are_read() -> None:
    assert parse_object(f'{{"a": {10**308}, "b": -7}}', "config") == {"a": 10**308, "b": -7}


def test_a_number_beyond_every_float_is_refused_wherever_it_stands(copy: CopyCheckpoint, hub: EmptyHub) -> None:
    folder = copy("act")
    edit_json(folder / "config.json", lambda config: config.update(dropout=BEYOND))
    with pytest.raises(CheckpointError, match=r"config\.json: 10+ is no finite number"):
        read_checkpoint(folder, hub=hub)


def test_a_step_with_such_a_number_is_refused(copy: CopyCheckpoint, hub: EmptyHub) -> None:
    folder = copy("act")
    edit_step(folder / "policy_preprocessor.json", "normalizer_processor", eps=BEYOND)
    with pytest.raises(CheckpointError, match=r"policy_preprocessor\.json: 10+ is no finite number"):
        read_checkpoint(folder, hub=hub)


@pytest.mark.parametrize("file", ["config.json", "policy_preprocessor.json", "policy_postprocessor.json"])
def test_a_file_in_which_a_name_occurs_twice_is_refused(copy: CopyCheckpoint, hub: EmptyHub, file: str) -> None:
    folder = copy("act")
    text = (folder / file).read_text().rstrip().removesuffix("}")
    name = next(iter(json.loads((folder / file).read_text())))
    (folder / file).write_text(f'{text}, "{name}": 5}}')
    with pytest.raises(CheckpointError, match=f"{file}: the name '{name}' occurs twice"):
        read_checkpoint(folder, hub=hub)


def test_a_file_that_an_editor_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"type": "act"}')
    assert read_object(tmp_path / "config.json") == {"type": "act"}


@pytest.mark.parametrize(("values", "found"), [({}, "absent"), ({"a": None}, "null"), ({"a": "x"}, "'x'")])
def test_what_is_of_another_type_is_told_as_it_stands(values: dict[str, object], found: str) -> None:
    with pytest.raises(CheckpointError, match=f"x: a must be of type int, but is {found}"):
        typed(values, "a", int, "x")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 457024\n"


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer/tokenizer.json"])
def test_a_pointer_that_git_left_in_place_of_a_file_is_told_as_one(
    copy: CopyCheckpoint, hub: EmptyHub, file: str
) -> None:
    folder = copy("smolvla")
    (folder / file).write_text(POINTER)
    with pytest.raises(SourceError, match=rf"{file} is not the file itself but git-LFS's pointer.*`git lfs pull`"):
        read_checkpoint(folder, hub=hub)
