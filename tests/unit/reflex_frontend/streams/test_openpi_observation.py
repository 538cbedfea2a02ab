"""Which key of an openpi observation is which camera, the state and the instruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from reflex.errors import InvalidRequestError
from reflex.policy_config import MAX_PROMPT_CHARACTERS, PolicyConfig
from reflex.wire import MAX_INSTRUCTION_CHARACTERS
from reflex_frontend.streams.openpi_observation import act_fields, episode_of
from support.fakes import policy_config
from support.images import encoded, photo

TOP, WRIST = photo(1), photo(2)
STATE = np.arange(6, dtype=np.float32)
OPENPI_CAMERAS = {"base_0_rgb": True, "left_wrist_0_rgb": True, "right_wrist_0_rgb": False}


def fields(config: PolicyConfig, **observation: Any) -> dict[str, Any]:
    return act_fields(config, {"state": STATE, "prompt": "pick", **observation})


def refusal(config: PolicyConfig, **observation: Any) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        fields(config, **observation)
    return caught.value.code


def is_same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    "observation",
    [
        {"top": TOP, "wrist": WRIST},
        {"image": {"top": TOP, "wrist": WRIST}},
        {"images": {"top": TOP, "wrist": WRIST}},
        {"observation/top": TOP, "observation/wrist": WRIST},
        {"observation": {"top": TOP, "wrist": WRIST}},
        {"observation.images.top": TOP, "observation.images.wrist": WRIST},
        {"observation": {"images": {"top": TOP}}, "images/wrist": WRIST},
    ],
)
def test_cameras_are_found_by_their_names_wherever_programs_put_them(observation: dict[str, Any]) -> None:
    two = policy_config(cameras={"top": True, "wrist": True})
    assert is_same(fields(two, **observation)["images"], {"top": TOP, "wrist": WRIST})


@pytest.mark.parametrize(
    "observation",
    [
        {"observation/image": TOP, "observation/wrist_image": WRIST},
        {"observation/exterior_image_1_left": TOP, "observation/wrist_image_left": WRIST},
        {"images": {"cam_high": TOP.transpose(2, 0, 1), "cam_left_wrist": WRIST.transpose(2, 0, 1)}},
        {"image": {"base_0_rgb": TOP, "left_wrist_0_rgb": WRIST}},
    ],
    ids=["LIBERO", "DROID", "ALOHA", "the model's own"],
)
def test_openpi_s_robots_and_its_models_own_names_reach_its_models_cameras(observation: dict[str, Any]) -> None:
    found = fields(policy_config(cameras=OPENPI_CAMERAS), **observation)["images"]
    assert is_same(found, {"base_0_rgb": TOP, "left_wrist_0_rgb": WRIST})


def test_an_image_that_is_masked_out_is_absent() -> None:
    images = {"base_0_rgb": TOP, "left_wrist_0_rgb": WRIST, "right_wrist_0_rgb": WRIST}
    mask = {"base_0_rgb": True, "left_wrist_0_rgb": np.ones(1, np.bool_), "right_wrist_0_rgb": False}
    found = fields(policy_config(cameras=OPENPI_CAMERAS), image=images, image_mask=mask)["images"]
    assert found.keys() == {"base_0_rgb", "left_wrist_0_rgb"}


@pytest.mark.parametrize(
    ("mask", "is_there"),
    [(True, True), (False, False), (1, True), (0, False), (0.0, False), (None, True), ([True], True), ([1, 0], False),
     (np.array(False), False), (np.array([[1.0, 0.0]]), False), (np.ones((2, 2), np.uint8), True)],
)  # fmt: skip
def test_a_mask_is_a_truth_value_a_number_or_an_array_of_those(mask: Any, is_there: bool) -> None:
    found = fields(policy_config(), image={"base": TOP}, image_mask={"base": mask})["images"]
    assert ("base" in found) is is_there


@pytest.mark.parametrize(
    "mask",
    [[1, [2, 3]], [[True]], "false", b"\x00", [None], ["no"], [np.zeros(2), np.zeros(3)], [{"a": 1}]],
)
def test_what_is_no_mask_is_refused(mask: Any) -> None:
    assert refusal(policy_config(), image={"base": TOP}, image_mask={"base": mask}) == "wrong_type"


@pytest.mark.parametrize("mask", [False, [False], np.array([False]), 1, "base", {"base": {"x": False}}])
def test_what_names_no_camera_masks_none_and_is_refused(mask: Any) -> None:
    assert refusal(policy_config(), image={"base": TOP}, image_mask=mask) == "wrong_type"
    assert "base" in fields(policy_config(), image={"base": TOP}, image_mask=None)["images"]


@pytest.mark.parametrize("name", ["bsae", "base/x", ""])
def test_a_mask_of_a_camera_that_there_is_not_is_refused_and_not_passed_over(name: str) -> None:
    assert refusal(policy_config(), image={"base": TOP}, image_mask={name: False}) == "wrong_type"


@pytest.mark.parametrize("name", ["base_0_rgb", "observation/image", "observation.image"])
def test_a_mask_goes_by_the_name_of_the_camera_or_of_its_picture(name: str) -> None:
    config = policy_config(cameras=OPENPI_CAMERAS)
    given = {"observation/image": TOP, "observation/wrist_image": WRIST, "image_mask": {name: False}}
    assert fields(config, **given)["images"].keys() == {"left_wrist_0_rgb"}


def test_a_camera_whose_name_begins_with_anothers_has_its_own_mask() -> None:
    config = policy_config(cameras={"front": True, "front.left": False})
    given = {"image": {"front": TOP, "front.left": WRIST}, "image_mask": {"front": True, "front.left": False}}
    assert fields(config, **given)["images"].keys() == {"front"}


def test_a_camera_of_which_there_is_no_picture_may_be_masked_out() -> None:
    given = {"image": {"base_0_rgb": TOP}, "image_mask": {"base_0_rgb": True, "right_wrist_0_rgb": False}}
    assert fields(policy_config(cameras=OPENPI_CAMERAS), **given)["images"].keys() == {"base_0_rgb"}
    assert fields(policy_config(cameras={"base_0_rgb": True}), **given)["images"].keys() == {"base_0_rgb"}


@pytest.mark.parametrize("observation", [{"cam": TOP}, {"observation/front": TOP}, {"rgb": {"left": TOP}}])
def test_one_picture_is_the_one_camera_whatever_it_is_called(observation: dict[str, Any]) -> None:
    assert is_same(fields(policy_config(), **observation)["images"], {"base": TOP})


def test_files_and_base64_are_given_on_as_they_came() -> None:
    jpeg = encoded(TOP)
    assert fields(policy_config(), base=jpeg)["images"] == {"base": jpeg}
    assert fields(policy_config(), images={"base": "abc"})["images"] == {"base": "abc"}


def test_a_picture_that_no_camera_takes_is_refused_and_not_passed_over() -> None:
    assert refusal(policy_config(), base=TOP, front=WRIST) == "unknown_camera"
    assert refusal(policy_config(cameras={"a": True, "b": False}), front=WRIST) == "unknown_camera"
    assert refusal(policy_config(), base=TOP, more=encoded(TOP)) == "unknown_camera"


@pytest.mark.parametrize(
    ("observation", "state"),
    [
        ({"state": STATE}, STATE.tolist()),
        ({"state": STATE[None]}, STATE.tolist()),
        ({"state": [1, 2.5]}, [1, 2.5]),
        ({"state": 3}, [3]),
        ({"observation/state": STATE}, STATE.tolist()),
        ({"observation.state": STATE}, STATE.tolist()),
        ({"observation/joint_position": STATE, "observation/gripper_position": np.ones(1)}, [*STATE.tolist(), 1.0]),
        ({"observation/joint_position": STATE, "observation/gripper_position": 0.5}, [*STATE.tolist(), 0.5]),
        ({"observation/joint_position": STATE}, None),
        ({}, None),
    ],
)
def test_the_state_is_found_by_name_and_joined_where_it_is_in_parts(observation: dict[str, Any], state: Any) -> None:
    assert act_fields(policy_config(), {"prompt": "pick", **observation})["state"] == state


@pytest.mark.parametrize("state", [np.zeros(5_000), np.zeros(6, np.bool_), [0.0] * 5_000])
def test_what_is_no_state_is_refused(state: Any) -> None:
    assert refusal(policy_config(), state=state) == "wrong_type"


@pytest.mark.parametrize("key", ["prompt", "instruction", "task", "observation/prompt"])
def test_the_instruction_is_found_by_name(key: str) -> None:
    assert act_fields(policy_config(), {"state": STATE, key: "pick"})["instruction"] == "pick"
    assert act_fields(policy_config(), {"state": STATE, key: ["pick"]})["instruction"] == "pick"


def test_without_an_instruction_the_policy_decides_what_is_missing() -> None:
    assert act_fields(policy_config(), {"state": STATE})["instruction"] is None
    config = policy_config()
    without = config.model_copy(update={"prompt": None})
    assert act_fields(without, {"state": STATE})["instruction"] == ""


MAPPED = policy_config(
    cameras={"top": True, "wrist": False},
    openpi={
        "images": {"rgb.front": "top", "rgb/side": None},
        "state": ("arm/joints", "arm/gripper"),
        "prompt": "goal",
        "default_prompt": "tidy up",
    },
)


def test_the_policys_own_table_comes_first() -> None:
    observation = {
        "rgb": {"front": TOP, "side": WRIST}, "arm": {"joints": STATE, "gripper": 1.0}, "state": STATE, "goal": "pick",
    }  # fmt: skip
    found = act_fields(MAPPED, observation)
    assert is_same(found["images"], {"top": TOP})
    assert (found["state"], found["instruction"]) == ([*STATE.tolist(), 1.0], "pick")


def test_what_the_table_does_not_say_goes_by_name_and_a_default_stands_in() -> None:
    found = act_fields(MAPPED, {"rgb/front": TOP, "observation/wrist": WRIST, "state": STATE})
    assert is_same(found["images"], {"top": TOP, "wrist": WRIST})
    assert (found["state"], found["instruction"]) == (None, "tidy up")


@pytest.mark.parametrize(
    "openpi", [{"images": {"a": "rear"}}, {"image": {}}, {"default_prompt": "x" * 513}, {"state": "arm"}]
)
def test_a_table_that_contradicts_its_policy_is_refused_with_it(openpi: Any) -> None:
    with pytest.raises(ValidationError):
        policy_config(openpi=openpi)


def test_a_default_instruction_has_the_limit_of_any() -> None:
    assert MAX_PROMPT_CHARACTERS == MAX_INSTRUCTION_CHARACTERS


def test_fields_of_act_are_given_on() -> None:
    found = fields(policy_config(), base=TOP, seed=7, request_id="r", prev_actions=np.zeros((2, 2), np.float32))
    assert (found["seed"], found["request_id"], found["prev_actions"]) == (7, "r", [[0, 0], [0, 0]])


def test_an_episode_is_named_by_either_name() -> None:
    assert [episode_of(given) for given in ({"episode_id": "e"}, {"session_id": "s"}, {})] == ["e", "s", None]


@pytest.mark.parametrize("value", [7, "", "x" * 257, "a\nb", TOP])
def test_an_episode_has_the_rule_of_act(value: Any) -> None:
    with pytest.raises(InvalidRequestError):
        episode_of({"episode_id": value})
