"""A camera of shared memory follows its writer: not there yet, there, gone, and there again with another segment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from reflex_runner.cameras import watched
from reflex_runner.cameras.build import build_camera
from reflex_runner.cameras.camera import Camera
from reflex_runner.cameras.shared_frames import FrameWriter
from support.leftovers import SHARED_MEMORY, leaves_no_descriptor, leaves_no_thread
from support.waiting import wait_until

NAME = f"reflex-shm-{os.getpid()}"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watched, "RETRY_S", 0.001)
    with leaves_no_thread(), leaves_no_descriptor():
        yield
    (SHARED_MEMORY / NAME).unlink(missing_ok=True)


def shows(camera: Camera, value: int) -> bool:
    frame = camera.latest()
    return frame is not None and isinstance(frame.image, np.ndarray) and int(frame.image[0, 0, 0]) == value


def test_it_follows_its_writer() -> None:
    camera = build_camera("shm", {"shm_name": NAME, "rotate": 180}, name="front")
    camera.start()
    wait_until(lambda: "finds no shared memory" in str(camera.problem), "its writer is missing")
    with FrameWriter(NAME, 6, 4) as writer:
        writer.write(np.full((4, 6, 3), 5, np.uint8))
        wait_until(lambda: shows(camera, 5), "its picture arrives")
    wait_until(
        lambda: "lost the program that wrote" in str(camera.problem) or "no shared" in str(camera.problem), "gone"
    )
    with FrameWriter(NAME, 60, 40) as writer:
        writer.write(np.full((40, 60, 3), 6, np.uint8))
        wait_until(lambda: shows(camera, 6), "the picture of the next one arrives")
        camera.stop()


def test_another_size_than_asked_for_is_a_problem() -> None:
    camera = build_camera("shm", {"shm_name": NAME, "width": 640}, name="front")
    with FrameWriter(NAME, 6, 4):
        camera.start()
        wait_until(lambda: camera.problem == f"camera front has pictures of width 6 in '{NAME}', not 640", "said")
        camera.stop()
