from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Final

import pytest

from reflex.errors import SetupError
from reflex_runner.errors import NoPicturesError
from reflex_runner.simulation import engine
from support.outside.drawing import skip_without_pictures
from support.waiting import PROCESS_S

AFTER_SOMEBODY_ELSE: Final = """
import mujoco
from reflex_runner.simulation.engine import build_model, build_renderer
build_renderer(build_model(), 16, 16).close()
"""


def refuse(exc: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise exc

    monkeypatch.setattr(importlib, "import_module", fail)


def test_without_mujoco_the_line_is_said_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(ModuleNotFoundError("No module named 'mujoco'", name="mujoco"), monkeypatch)
    with pytest.raises(SetupError, match=r"needs MuJoCo, which is not installed; run: .*\[sim\]"):
        engine.mujoco()


@pytest.mark.parametrize(
    "exc",
    [
        ImportError("Unable to load EGL library"),
        AttributeError("'NoneType' object has no attribute 'glGetError'"),
        RuntimeError("invalid value for environment variable MUJOCO_GL: vulkan"),
    ],
)
def test_without_opengl_the_packages_are_named(exc: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(exc, monkeypatch)
    with pytest.raises(NoPicturesError, match=r"libegl1, libgl1 and libgl1-mesa-dri") as caught:
        engine.mujoco()
    assert str(exc) in str(caught.value)
    assert caught.value.__cause__ is exc


def test_the_scene_is_without_shadows_and_multisampling_which_cost_tens_of_times_as_much() -> None:
    model = engine.build_model()
    assert model.vis.quality.shadowsize == 0
    assert model.vis.quality.offsamples == 0
    assert model.nmesh == 0


@pytest.mark.slow
def test_pictures_are_drawn_where_somebody_imported_mujoco_before_for_its_physics() -> None:
    skip_without_pictures()
    environment = {name: value for name, value in os.environ.items() if name not in {"MUJOCO_GL", "DISPLAY"}}
    done = subprocess.run(
        [sys.executable, "-c", AFTER_SOMEBODY_ELSE],
        env=environment, capture_output=True, text=True, timeout=PROCESS_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
