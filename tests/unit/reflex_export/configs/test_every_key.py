"""Whatever a key of config.json says, the policy is built or refused in one sentence; it never ends in a traceback."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from reflex_export.checkpoint import Family
from reflex_export.configs import CONFIG_OF, FamilyConfig, parse_config
from reflex_export.errors import CheckpointError
from reflex_export.families.family_graphs import build_graphs, default_steps
from reflex_export.reading import read_checkpoint
from reflex_export.reading.features import Features, family_of, read_features
from reflex_export.reading.files import parse_object
from support.checkpoints.golden import golden_folder

FAMILIES: Final[tuple[Family, ...]] = ("act", "diffusion", "smolvla", "pi0", "pi05")
ABSENT: Final = object()
VALUES: Final[tuple[Any, ...]] = (
    *(ABSENT, None, True, False, "x", "", [], [1], {}, {"a": 1}),
    *(0, -1, 1, 1.5, -0.5, 10**30, -(10**30), 1e300, math.nan, math.inf, -math.inf),
)


def recorded(family: Family) -> dict[str, Any]:
    return dict(json.loads((golden_folder(family) / "config.json").read_text()))


def keys_of(family: Family) -> list[str]:
    """Those of the file, those that are declared, and one that nobody knows."""
    return [*dict.fromkeys([*recorded(family), *CONFIG_OF[family].model_fields, "a_key_of_tomorrow"])]


def changes(family: Family) -> Iterator[dict[str, Any]]:
    for key in keys_of(family):
        for value in VALUES:
            written = {**recorded(family), key: value}
            yield {name: one for name, one in written.items() if one is not ABSENT}


def parse_written(written: Mapping[str, Any]) -> tuple[FamilyConfig, Features]:
    """Everything that config.json alone decides."""
    family = family_of(written)
    config = parse_config(family, written)
    return config, read_features(family, config, written, {})


def refusal(written: Mapping[str, Any]) -> str | None:
    """None when it is read."""
    try:
        parse_written(parse_object(json.dumps(written), "config.json"))
    except CheckpointError as exc:
        return str(exc)
    return None


def built_or_refused(folder: Path) -> str:
    try:
        checkpoint = read_checkpoint(folder)
        build_graphs(checkpoint, (min(default_steps(checkpoint), 2),), "fp32")
    except CheckpointError as exc:
        return str(exc)
    return "built"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_any_value_of_any_key_is_read_or_refused_in_one_sentence(family: Family) -> None:
    told = [refusal(written) for written in changes(family)]
    assert len(told) > 600
    assert None in told
    sentences = [sentence for sentence in told if sentence is not None]
    assert len(sentences) > 200
    assert not [sentence for sentence in sentences if "\n" in sentence or len(sentence) > 400]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_read_is_built_or_refused(family: Family, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(golden_folder(family), tmp_path / "it", ignore=shutil.ignore_patterns("*.npz")))
    original, built = parse_written(recorded(family)), set()
    for written in changes(family):
        if refusal(written) is not None or (parsed := parse_written(written)) == original or repr(parsed) in built:
            continue
        built.add(repr(parsed))
        (folder / "config.json").write_text(json.dumps(written))
        assert "\n" not in built_or_refused(folder)
    assert built
