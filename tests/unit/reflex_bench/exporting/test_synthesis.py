"""The synthesiser of full-size checkpoints, on lists cut down to the recorded checkpoints' own sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from reflex.export_options import ExportOptions
from reflex_bench.exporting.export_bench import Measured, measure
from reflex_bench.exporting.export_sizes import live_parameters, stored_bytes
from reflex_bench.exporting.synthesis import synthesise
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from reflex_export.reading.tensors import open_weights
from support.checkpoints.golden import golden_folder

FAMILIES: Final = ("smolvla", "pi0", "pi05")
DTYPES: Final = {"F32": "float32", "BF16": "bfloat16"}
VOCABULARY: Final = 700
"""More rows than the layout's tokenizer has tokens, as in the full sizes."""


def listed(family: str) -> dict[str, Any]:
    """A list like those of golden/keys, in small: every tensor of the recorded checkpoint, more words."""
    folder = golden_folder(family)
    source = open_weights(folder)
    tensors: dict[str, Any] = {
        name: {"shape": list(source.shape(name)), "dtype": DTYPES[source.dtype(name)]}
        for name in sorted(source.names())
    }
    for name, tensor in tensors.items():
        if "embed_tokens" in name or "lm_head" in name:
            tensor["shape"][0] = VOCABULARY
    found: dict[str, Any] = {"tensors": tensors, "config_json": json.loads((folder / "config.json").read_text())}
    if family == "smolvla":
        found["vlm_config_json"] = json.loads((folder / "vlm/config.json").read_text()) | {"image_token_id": 690}
    return found


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.slow
def test_what_it_writes_is_a_checkpoint_that_can_be_exported_and_gives_finite_actions(
    family: str, tmp_path: Path
) -> None:
    checkpoint = read_checkpoint(synthesise(listed(family), golden_folder(family), tmp_path / "checkpoint"))

    report = export_checkpoint(checkpoint, ExportOptions(tmp_path / "models", "small", "so101", steps=(1,)))

    assert report.published
    with np.load(tmp_path / "models/small/canary.npz", allow_pickle=False) as canary:
        actions = canary["expected.actions"]
    assert np.isfinite(actions).all()
    assert np.ptp(actions) > 0


@pytest.mark.slow
def test_the_weights_have_the_listed_names_shapes_and_types_and_the_seed_decides_them(tmp_path: Path) -> None:
    wanted = listed("smolvla")
    first = next(iter(wanted["tensors"]))
    wanted["tensors"][first]["dtype"] = "bfloat16"
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        synthesise(wanted, golden_folder("smolvla"), tmp_path / name, seed=seed)

    source = open_weights(tmp_path / "one")
    found = {name: {"shape": list(source.shape(name)), "dtype": DTYPES[source.dtype(name)]} for name in source.names()}
    assert found == wanted["tensors"]
    content = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "again", "other")}
    assert content["one"] == content["again"] != content["other"]


def test_a_config_without_cameras_gets_those_of_pi(tmp_path: Path) -> None:
    wanted = listed("pi0")
    wanted["config_json_defaults"] = wanted.pop("config_json")
    for field in ("input_features", "output_features"):
        del wanted["config_json_defaults"][field]

    checkpoint = read_checkpoint(synthesise(wanted, golden_folder("pi0"), tmp_path / "checkpoint"))

    assert [camera.name for camera in checkpoint.cameras] == ["base", "left_wrist", "right_wrist"]
    assert checkpoint.cameras[0].shape == (3, 56, 56)


@pytest.mark.slow
def test_what_is_stored_is_what_is_live(family: str, tmp_path: Path) -> None:
    """At the sizes of the recorded checkpoints constants weigh more than 1 %, at full size far less."""
    checkpoint = read_checkpoint(synthesise(listed(family), golden_folder(family), tmp_path / "checkpoint"))
    options = ExportOptions(tmp_path / "models", "small", "so101", steps=(1,), check=False)

    export_checkpoint(checkpoint, options)

    assert stored_bytes(tmp_path / "models") == pytest.approx(4 * live_parameters(checkpoint), rel=0.15)


@pytest.mark.slow
def test_an_export_is_measured_in_a_process_of_its_own_beside_a_copy(tmp_path: Path) -> None:
    checkpoint = synthesise(listed("smolvla"), golden_folder("smolvla"), tmp_path / "checkpoint")

    row = measure("small", checkpoint, tmp_path, rounds=1)

    assert row.file_bytes == (checkpoint / "model.safetensors").stat().st_size
    assert 0 < row.copy_s < row.synced_copy_s
    assert row.copy_s < row.export_s < row.process_s
    assert 20 << 20 < row.bare_bytes < 1 << 30
    assert 0 < row.peak_above_bare_bytes < 256 << 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"export_s": 3.1}, ["big: export takes 3.10 x the copy"]),
        ({"peak_above_bare_bytes": 3 << 30}, ["big: peak is 3.00 GiB"]),
        ({"stored_over_live": 0.98}, ["big: stored over live is 0.9800"]),
        ({"stored_over_live": 1.02}, ["big: stored over live is 1.0200"]),
    ],
)
def test_a_missed_target_is_named(changes: dict[str, Any], missed: list[str]) -> None:
    met = {"name": "big", "file_bytes": 10**9, "copy_s": 1.0, "synced_copy_s": 1.5, "export_s": 2.9, "process_s": 4.0,
           "bare_bytes": 1 << 27, "peak_above_bare_bytes": 1 << 30, "stored_over_live": 1.005}  # fmt: skip

    row = Measured(**{**met, **changes})

    assert row.missed == missed
