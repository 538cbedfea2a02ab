from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from docs.documents import REPOSITORY
from reflex.cli.lerobot.folder import policy_folder, write_policy_folder
from reflex.errors import SetupError, TransportError

DEMO: dict[str, Any] = json.loads((REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes())
URL = "http://gpu-box:8000"
PLUGIN = REPOSITORY / "integrations/lerobot_policy_reflex/lerobot_policy_reflex/configuration_reflex.py"
LEROBOTS_OWN = {"type", "input_features", "output_features", "push_to_hub"}
"""Fields that every configuration of LeRobot has."""


def written(config: dict[str, Any], **renamed: str) -> dict[str, Any]:
    """config.json of the folder."""
    fields: dict[str, Any] = dict(policy_folder(config, URL, renamed=renamed).files["config.json"])
    return fields


def test_the_folder_says_what_the_policy_takes_and_gives() -> None:
    fields = written(DEMO)

    assert fields["type"] == "reflex"
    assert fields["url"] == URL
    assert fields["input_features"]["observation.state"] == {"type": "STATE", "shape": [6]}
    assert fields["input_features"]["observation.images.image"] == {"type": "VISUAL", "shape": [3, 224, 224]}
    assert fields["output_features"] == {"action": {"type": "ACTION", "shape": [7]}}
    assert fields["cameras"] == {"observation.images.image": "image"}
    assert (fields["chunk_size"], fields["n_action_steps"], fields["rtc"]) == (50, 50, True)


def test_the_plugin_knows_every_field() -> None:
    body = next(node for node in ast.parse(PLUGIN.read_text()).body if isinstance(node, ast.ClassDef)).body
    known = {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}

    assert written(DEMO).keys() - known == LEROBOTS_OWN


def test_a_picture_of_one_size_is_said_with_its_size() -> None:
    inputs = [{"name": "image.image", "datatype": "UINT8", "shape": [48, 96, 3]}]

    fields = written({**DEMO, "inputs": inputs})

    assert fields["input_features"]["observation.images.image"]["shape"] == [3, 48, 96]
    assert fields["rtc"] is False


def test_a_camera_gets_the_image_of_the_robots_own_name_or_whole_key() -> None:
    assert written(DEMO, image="front")["cameras"] == {"observation.images.front": "image"}
    assert written(DEMO, image="observation.image")["cameras"] == {"observation.image": "image"}
    assert "observation.image" in written(DEMO, image="observation.image")["input_features"]


def test_a_camera_that_the_policy_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(SetupError, match="demo has no camera wrist; it has image"):
        written(DEMO, wrist="front")
    with pytest.raises(SetupError, match="demo has no camera wrist; it has no camera"):
        written({**DEMO, "cameras": []}, wrist="front")


def test_two_cameras_cannot_get_one_image() -> None:
    both = {**DEMO, "cameras": [{"name": "left"}, {"name": "right"}]}

    with pytest.raises(SetupError, match="two cameras of the policy would get the same image"):
        written(both, left="right")
    assert written(both, left="right", right="left")["cameras"] == {
        "observation.images.right": "left",
        "observation.images.left": "right",
    }


def test_of_two_policies_the_first_is_written() -> None:
    config = {"a": {**DEMO, "policy_id": "one", "n_action_steps": 8}, "b": {**DEMO, "policy_id": "other"}}

    folder = policy_folder(config, URL, renamed={})

    assert (folder.policy_id, folder.files["config.json"]["n_action_steps"]) == ("one", 8)


def test_a_policy_that_names_no_steps_to_execute_executes_all() -> None:
    assert written({**DEMO, "n_action_steps": None})["n_action_steps"] == 50


def test_what_describes_no_policy_is_refused() -> None:
    with pytest.raises(TransportError, match="describes no policy"):
        written({"hello": "world"})


def test_nothing_but_a_folder_of_its_own_is_written_over(tmp_path: Path) -> None:
    folder = policy_folder(DEMO, URL, renamed={})
    write_policy_folder(folder, tmp_path / "new" / "policy", replace=False)
    before = (tmp_path / "new/policy/config.json").read_bytes()

    with pytest.raises(SetupError, match="not empty"):
        write_policy_folder(folder, tmp_path / "new" / "policy", replace=False)
    write_policy_folder(folder, tmp_path / "new" / "policy", replace=True)

    assert (tmp_path / "new/policy/config.json").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "new/policy").iterdir()) == sorted(folder.files)


@pytest.mark.parametrize("content", ['{"type": "smolvla"}', "[]", "{", "", None], ids=str)
def test_a_checkpoint_is_never_written_over(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    if content is not None:
        (tmp_path / "config.json").write_text(content)

    with pytest.raises(SetupError, match="leaves it alone"):
        write_policy_folder(policy_folder(DEMO, URL, renamed={}), tmp_path, replace=True)

    assert content is None or (tmp_path / "config.json").read_text() == content


def test_a_place_where_no_folder_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SetupError, match="file"):
            write_policy_folder(policy_folder(DEMO, URL, renamed={}), place, replace=True)
