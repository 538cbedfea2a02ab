"""`reflex verify` refuses of a repository what a server refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.policy_config import read_policy_config
from reflex_export.checking.servable import require_servable
from reflex_frontend.policy.policy import load_policy

CAMERA_MASK = 'input [ { name: "camera_mask" data_type: TYPE_BOOL dims: [ 1 ] } ]'
SHIPPED = Path(__file__).resolve().parents[4] / "model_repository"


def replaced(file: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text((folder / file).read_text().replace(old, new))


def resized(tensor: str, *shape: int) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "demo/reflex_config.json"
        written = json.loads(path.read_text())
        for found in (*written["inputs"], *written["outputs"]):
            if found["name"] == tensor:
                found["shape"] = list(shape)
        path.write_text(json.dumps(written))

    return change


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a part of another export": replaced("demo_denoise/config.pbtxt", 'string_value: "', 'string_value: "0'),
    "a part of an unknown export": replaced("demo_encoder/config.pbtxt", "reflex_export_id", "another_id"),
    "a part that is gone": lambda folder: shutil.rmtree(folder / "demo_preprocess"),
    "another robot": replaced("demo/reflex_config.json", '"embodiment": "franka"', '"embodiment": "ur5"'),
    "no robot": replaced("demo/reflex_config.json", '"embodiment": "franka"', '"embodiment": "nobody"'),
    "no robot in its own file": lambda folder: (folder / "demo/embodiment.json").write_text("{}"),
    "another input": replaced("demo/config.pbtxt", '{ name: "state"', '{ name: "pose"'),
    "an input of another size": replaced("demo/config.pbtxt", "[ -1, -1, 3 ]", "2 dims: -1 dims: -1 dims: 3"),
    "an input of another type": replaced("demo/config.pbtxt", "TYPE_UINT8", "TYPE_FP32"),
    "an input less": replaced("demo/config.pbtxt", CAMERA_MASK, ""),
    "no ensemble": lambda folder: (folder / "demo/config.pbtxt").unlink(),
    "a state of another size than its own": resized("state", 7),
    "noise of another width": resized("noise", 50, 31),
    "a longer prompt": resized("tokens", 49),
    "a chunk of another length": resized("actions", 49, 7),
    "a camera in grey": resized("image.image", -1, -1, 1),
    "another name": replaced("demo/reflex_config.json", '"policy_id": "demo"', '"policy_id": "other"'),
}


def test_what_ships_can_be_served() -> None:
    require_servable(SHIPPED, "demo", read_policy_config(SHIPPED / "demo"))


def refusals(repository: Path) -> tuple[str, str]:
    """A server's and verify's, without what the system says of a file."""
    with pytest.raises(SetupError) as served:
        load_policy(repository, "demo")
    with pytest.raises(SetupError) as verified:
        require_servable(repository, "demo", read_policy_config(repository / "demo"))
    return str(served.value).partition("(")[0], str(verified.value).partition("(")[0]


@pytest.mark.parametrize("damage", DAMAGE)
def test_both_refuse_the_same_in_the_same_words(tmp_path: Path, damage: str) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    DAMAGE[damage](tmp_path)
    served, verified = refusals(tmp_path)
    assert served == verified


@pytest.mark.parametrize(
    "written",
    [
        'input { name: "image.image", data_type: TYPE_UINT8, dims: [-1, -1, 3] }',
        "input: [{ # a comment }\n name: 'image.image'; data_type: TYPE_UINT8; dims: -1, dims: -1, dims: 3; }]",
        'input [ { name: "image.image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] reshape { shape: [ 3 ] } } ]',
    ],
)
def test_an_input_is_read_however_it_is_written(written: str, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    whole = 'input [ { name: "image.image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]'
    replaced("demo/config.pbtxt", whole, written)(tmp_path)
    load_policy(tmp_path, "demo")
    require_servable(tmp_path, "demo", read_policy_config(tmp_path / "demo"))


def test_both_refuse_a_part_that_triton_cannot_read(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    replaced("demo_encoder/config.pbtxt", 'reflex_export_id" value { string_value: "', "x")(tmp_path)
    served, verified = refusals(tmp_path)
    assert "is no Triton model configuration" in served
    assert "demo_encoder is from export unknown" in verified
