"""examples/act.json and its picture are what tools/example_request.py makes: the simulator, as an episode begins."""

from __future__ import annotations

import base64
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from docs.documents import REPOSITORY
from reflex.policy_config import read_policy_config
from support.outside.drawing import skip_without_pictures

EXAMPLES = REPOSITORY / "examples"
OTHER_DRIVERS = 4.0
"""By so many of 255 their pixels may differ, in the mean."""


def request_in(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "act.json").read_text(encoding="utf-8"))
    assert base64.b64decode(told["image_b64"], validate=True) == (folder / "cube.jpg").read_bytes()
    return told


def pixels(folder: Path) -> Any:
    with Image.open(folder / "cube.jpg") as image:
        return np.asarray(image, np.float32)


def test_the_example_is_what_the_simulator_shows_as_that_seed_begins(tmp_path: Path) -> None:
    skip_without_pictures()
    runpy.run_path(str(REPOSITORY / "tools" / "example_request.py"))["main"](tmp_path)

    assert np.abs(pixels(tmp_path) - pixels(EXAMPLES)).mean() < OTHER_DRIVERS
    made, shipped = (request_in(folder) for folder in (tmp_path, EXAMPLES))
    assert made | {"image_b64": ""} == shipped | {"image_b64": ""}


@pytest.mark.parametrize("name", ["demo", "pick_up_the_cube"])
def test_it_fits_every_policy_that_ships_with_one_camera(name: str) -> None:
    policy = read_policy_config(REPOSITORY / "model_repository" / name)
    [camera] = [each for each in policy.inputs if each.name.startswith("image.")]

    assert len(request_in(EXAMPLES)["state"]) == policy.state_dim
    assert all(wanted in (-1, there) for wanted, there in zip(camera.shape, pixels(EXAMPLES).shape, strict=True))
