"""A policy that looks at several observations is held to their number: in its record, its models and recordings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from reflex.errors import RepositoryError
from reflex.export_options import ExportOptions
from reflex.model_repository import CONFIG_FILE
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.checking.recorded import read_case
from reflex_export.checking.verification import verify_policy
from reflex_export.commands.verify import verify_command
from reflex_export.errors import CheckpointError
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.graph.graph import Array
from support.checkpoints.altered import with_options
from support.checkpoints.golden import golden_checkpoint, golden_folder
from support.checkpoints.planar import two_axes

CHECKPOINT = golden_checkpoint("diffusion")
CASE = golden_folder("diffusion") / "case_0.npz"
TOP = "image.observation.images.top"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("observations")
    options = ExportOptions(
        folder / "models",
        "arm",
        two_axes(folder / "two.json"),
        steps=(2,),
        check=False,
        source=str(golden_folder("diffusion")),
        units_checked=True,
    )
    export_checkpoint(CHECKPOINT, options)
    return folder / "models"


@pytest.fixture
def repository(exported: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "models"))


def said(repository: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    """The exit code, and the error or the note, one sentence each."""
    try:
        code = verify_command(repository, as_json=True, **options)
    except typer.Exit as exc:
        code = exc.exit_code
    told = json.loads(capsys.readouterr().out)
    return code, str(told.get("message", told.get("note")))


def sized(name: str, *shape: int) -> Change:
    def change(written: dict[str, Any]) -> None:
        next(tensor for tensor in written["inputs"] if tensor["name"] == name)["shape"] = list(shape)

    return change


def spoil(repository: Path, *changes: Change) -> None:
    path = repository / "arm" / CONFIG_FILE
    written = json.loads(path.read_text())
    for change in changes:
        change(written)
    path.write_text(json.dumps(written))


@pytest.mark.slow
def test_such_a_policy_is_verified_and_its_note_says_that_no_server_takes_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_policy_config(repository / "arm").n_obs_steps == 2
    code, note = said(repository, capsys)
    assert code == 0
    assert note.startswith("policy arm takes several observations at once (n_obs_steps), which /act does not send")


def test_a_record_whose_tensors_differ_in_it_is_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(repository, sized("state", 3, 2))
    code, told = said(repository, capsys)
    assert code == 1
    assert "policy arm has state as 3x2, but by its other fields (n_obs_steps 2) it is 2x2; export" in told


THREE = (sized("image.top", 3, 48, 64, 3), sized("image.wrist", 3, 48, 64, 3), sized("state", 3, 2))
ONE = (sized("image.top", 48, 64, 3), sized("image.wrist", 48, 64, 3), sized("state", 2))


@pytest.mark.parametrize(("changes", "number"), [(THREE, "3x48x64x3"), (ONE, "48x64x3")], ids=["three", "one"])
def test_a_record_of_another_number_than_the_ensembles_is_refused(
    changes: tuple[Change, ...], number: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(repository, *changes)
    code, told = said(repository, capsys)
    assert code == 1
    assert "arm takes image.top as UINT8 2x48x64x3, the reflex_config.json of policy arm says" in told
    assert f"says image.top as UINT8 {number}: they are of different exports; export the policy again" in told


def test_where_only_the_models_differ_they_are_named(repository: Path) -> None:
    spoil(repository, *THREE)
    with pytest.raises(RepositoryError, match=r"^the ONNX of arm takes image\.top as UINT8 2x48x64x3, the ref"):
        verify_policy(repository, read_policy_config(repository / "arm"), CHECKPOINT, None)


def test_a_checkpoint_of_another_number_is_not_the_one_it_was_exported_from(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(golden_folder("diffusion"), tmp_path / "other"))
    written = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**written, "n_obs_steps": 3}))
    code, told = said(repository, capsys, source=str(other))
    assert code == 1
    assert told.startswith("other takes 3 observation steps (n_obs_steps), arm takes 2; pass the checkpoint")


def case_with(path: Path, **changes: Array) -> Path:
    with np.load(CASE) as recorded:
        np.savez(path, **{name: changes.get(name, recorded[name]) for name in recorded.files})
    return path


@pytest.fixture(scope="module")
def config(exported: Path) -> PolicyConfig:
    """Without the later noise, which has one of the recordings' steps."""
    found = read_policy_config(exported / "arm")
    return found.model_copy(update={"inputs": tuple(one for one in found.inputs if one.name != "step_noise")})


@pytest.mark.parametrize(
    ("name", "shape", "found"),
    [
        (TOP, (3, 48, 64, 3), 3),
        (TOP, (1, 48, 64, 3), 1),
        (TOP, (48, 64, 3), 1),
        ("state_raw", (3, 2), 3),
        ("state_raw", (2,), 1),
    ],
)
def test_a_recorded_case_of_another_number_is_refused(
    name: str, shape: tuple[int, ...], found: int, config: PolicyConfig, tmp_path: Path
) -> None:
    dtype = np.uint8 if name == TOP else np.float32
    case = case_with(tmp_path / "case_0.npz", **{name: np.zeros(shape, dtype)})
    with pytest.raises(CheckpointError, match=rf"its {name} has {found} observation steps, the policy takes 2"):
        read_case(case, CHECKPOINT, config.inputs)


def test_of_one_observation_the_axis_may_be_recorded_or_not(config: PolicyConfig, tmp_path: Path) -> None:
    checkpoint = with_options(CHECKPOINT, n_obs_steps=1)
    inputs = [one.model_copy(update={"shape": one.shape[1:]} if one.name != "noise" else {}) for one in config.inputs]
    images = {f"image.{camera.key}": np.zeros((1, 48, 64, 3), np.uint8) for camera in CHECKPOINT.cameras}
    flat = {name: image[0] for name, image in images.items()}
    for number, (seen, state) in enumerate(((images, np.ones((1, 2))), (flat, np.ones(2)))):
        case = read_case(case_with(tmp_path / f"case_{number}.npz", **seen, state_raw=state), checkpoint, inputs)
        assert (case.inputs["state"].shape, case.inputs["image.top"].shape) == ((1, 2), (1, 48, 64, 3))
