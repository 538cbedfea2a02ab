"""A camera's entry in robot.yaml becomes a camera, or one sentence says what is wrong in it."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_runner.cameras.build import build_camera


@pytest.mark.parametrize(
    ("kind", "cfg", "said"),
    [
        ("opencvv", {}, "cameras.wrist.kind: no camera is called 'opencvv'; did you mean 'opencv'?"),
        ("zzz", {}, "no camera is called 'zzz'; it is one of opencv, shm, file"),
        (
            "sim",
            {},
            "cameras.wrist: the simulator brings its own cameras; name them by hardware.cameras, and leave this out",
        ),
        ("shm", {}, "cameras.wrist.shm_name: "),
        ("shm", {"shm_name": "a/b"}, "cameras.wrist.shm_name: "),
        ("shm", {"shm_name": "front", "rotate": 45}, "cameras.wrist.rotate: "),
        ("opencv", {"devise": 1}, "cameras.wrist: no setting is called 'devise'; did you mean 'device'?"),
        ("opencv", {"width": 0}, "cameras.wrist.width: "),
        ("opencv", {"fourcc": "JPEG2"}, "cameras.wrist.fourcc: "),
        ("file", {"path": "nothing"}, "cameras.wrist.path: there is no "),
        ("file", {"path": ".", "fps": 0}, "cameras.wrist.fps: "),
    ],
)
def test_what_is_wrong_is_named(kind: str, cfg: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError) as refused:
        build_camera(kind, cfg, name="wrist")
    assert said in str(refused.value)


def test_a_camera_that_is_built_has_not_begun_to_look() -> None:
    camera = build_camera("shm", {"shm_name": "reflex-nobody", "width": None})

    assert (camera.latest(), camera.rate_hz, camera.problem) == (None, None, None)
    camera.stop()
