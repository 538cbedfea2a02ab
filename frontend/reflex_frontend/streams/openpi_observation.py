"""An observation of an openpi client as the fields of `/act`: which key is which camera, the state, the instruction.

By name, unless the policy's `openpi` says otherwise: `/` and `.` part names alike, and a map inside of a map is named
by both keys. So `observation/top`, `observation.images.top` and `{"images": {"top": ...}}` are all the camera `top`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import numpy as np

from reflex.errors import ServiceError
from reflex.policy_config import OpenpiConfig, PolicyConfig
from reflex.wire import MAX_ID_CHARACTERS
from reflex.wording.nouns import named
from reflex_frontend.observation.request import refuse
from reflex_frontend.streams.pixels import is_picture, pixels_of

__all__ = ["act_fields", "episode_of"]

PLACES: Final = ("", "image/", "images/", "observation/", "observation/image/", "observation/images/")
"""Where a camera's own name may stand."""
ROBOTS_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "base_0_rgb": ("observation/image", "observation/exterior_image_1_left", "images/cam_high"),
    "left_wrist_0_rgb": ("observation/wrist_image", "observation/wrist_image_left", "images/cam_left_wrist"),
    "right_wrist_0_rgb": ("images/cam_right_wrist",),
}
"""The cameras of openpi's models by the names that LIBERO, DROID and ALOHA have for them, as openpi maps them."""
STATES: Final = (
    ("state",),
    ("observation/state",),
    ("observation/joint_position", "observation/gripper_position"),
)
PROMPTS: Final = ("prompt", "instruction", "task", "observation/prompt")
EPISODES: Final = ("episode_id", "session_id")
GIVEN_ON: Final = ("request_id", "seed", "executed_steps", "inference_delay_steps", "prev_actions")
"""Fields of `/act` itself."""
MASKS: Final = "image_mask"
MAX_STATE: Final = 4_096
BY_NAME: Final = OpenpiConfig()

Flat = Mapping[str, Any]
"""Everything of an observation that is no map, by its names joined with `/`."""


def act_fields(config: PolicyConfig, observation: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `/act`, ready to be checked as one of its bodies is; raises `ServiceError`."""
    mapping, flat = config.openpi or BY_NAME, dict(_flat(observation))
    fields = {name: _number_list(flat[name]) for name in GIVEN_ON if name in flat}
    return fields | {
        "instruction": _prompt(config, mapping, flat),
        "state": _state(mapping, flat),
        "images": _images(config, mapping, flat),
    }


def episode_of(observation: Mapping[str, Any]) -> str | None:
    """The episode that the client names; raises `ServiceError` wrong_type for what is no name."""
    value = next((observation[name] for name in EPISODES if observation.get(name) is not None), None)
    if value is None or (isinstance(value, str) and 1 <= len(value) <= MAX_ID_CHARACTERS and value.isprintable()):
        return value
    raise refuse(
        "wrong_type",
        f"episode_id must be a string of 1 to {MAX_ID_CHARACTERS} printable characters",
        field="episode_id",
    )


def _flat(observation: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in observation.items():
        name = within + _name(key)
        if isinstance(value, dict):
            yield from _flat(value, f"{name}/")
        else:
            yield name, value


def _name(key: str) -> str:
    return key.replace(".", "/")


def _images(config: PolicyConfig, mapping: OpenpiConfig, flat: Flat) -> dict[str, Any]:
    keys = {_name(key): camera for key, camera in mapping.images.items()}
    found = {camera: key for key, camera in keys.items() if camera is not None and key in flat}
    for camera in config.cameras:
        if camera.name not in found and (key := _key_of(camera.name, flat)) is not None:
            found[camera.name] = key
    rest = [key for key, value in flat.items() if is_picture(value) and key not in {*found.values(), *keys}]
    if len(config.cameras) == 1 == len(rest) and not found:
        found[config.cameras[0].name] = rest.pop()  # there is one picture, and one place for it
    if rest:
        raise _unknown(config)
    cameras = {_name(camera.name) for camera in config.cameras}
    masked_out = _masked_out(flat, {*cameras, *ROBOTS_NAMES, *keys, *found.values()})
    return {
        camera: _image(camera, flat[key])
        for camera, key in found.items()
        if masked_out.isdisjoint({key, _name(camera)})
    }


def _key_of(camera: str, flat: Flat) -> str | None:
    names = (*(place + _name(camera) for place in PLACES), *ROBOTS_NAMES.get(camera, ()))
    return next((name for name in names if isinstance(flat.get(name), (np.ndarray, bytes, str))), None)


def _masked_out(flat: Flat, known: AbstractSet[str]) -> set[str]:
    """The names of pictures that only fill a place. openpi's models have a mask beside their images.

    Raises `ServiceError` wrong_type for what is no mask, and for one that names neither a picture that was sent, nor a
    camera of the policy or of openpi's models.
    """
    given = {key: mask for key, mask in flat.items() if _is_of_masks(key) and mask is not None}
    masks = {key.removeprefix(MASKS).removeprefix("/"): mask for key, mask in given.items()}
    for name, mask in masks.items():
        if name not in known or not _is_mask(mask):
            said = "image_mask must give, by the name of a camera: true, false, a number, or an array of those"
            raise refuse("wrong_type", said, field="image_mask")
    return {name for name, mask in masks.items() if not np.all(mask)}


def _is_of_masks(key: str) -> bool:
    return key == MASKS or key.startswith(f"{MASKS}/")


def _is_mask(value: object) -> bool:
    """An array is of numbers or truth values: it can be of nothing else."""
    values = value if isinstance(value, list) else [value]
    return isinstance(value, np.ndarray) or all(isinstance(each, (int, float)) for each in values)


def _image(camera: str, value: object) -> object:
    return pixels_of(camera, value) if isinstance(value, np.ndarray) else value


def _unknown(config: PolicyConfig) -> ServiceError:
    cameras = [camera.name for camera in config.cameras]
    return refuse(
        "unknown_camera",
        f"an image has a name that is no camera's: this policy has {named('camera', cameras)}; send it under such a "
        "name, or map it in `openpi` of the policy's reflex_config.json",
        cameras=cameras,
    )


def _state(mapping: OpenpiConfig, flat: Flat) -> list[Any] | None:
    """None where there is none: it is refused with the other fields."""
    choices = (tuple(map(_name, mapping.state)),) if mapping.state else STATES
    keys = next((choice for choice in choices if all(key in flat for key in choice)), ())
    numbers = [number for key in keys for number in _numbers(flat[key])]
    if len(numbers) > MAX_STATE:
        raise refuse("wrong_type", f"a state may have at most {MAX_STATE} numbers", field="state")
    return numbers if keys else None


def _numbers(value: object) -> list[Any]:
    if isinstance(value, np.ndarray):
        if value.size > MAX_STATE or value.dtype.kind == "b":
            raise refuse("wrong_type", f"state must be at most {MAX_STATE} numbers", field="state")
        flat: list[Any] = value.ravel().tolist()
        return flat
    return value if isinstance(value, list) else [value]


def _number_list(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) and value.size <= MAX_STATE else value


def _prompt(config: PolicyConfig, mapping: OpenpiConfig, flat: Flat) -> object:
    keys = PROMPTS if mapping.prompt is None else (_name(mapping.prompt),)
    value = next((flat[key] for key in keys if flat.get(key) is not None), mapping.default_prompt)
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return "" if value is None and config.prompt is None else value
