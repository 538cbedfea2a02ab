"""MuJoCo, imported when a simulation begins: 0.3 s and 60 MB that nobody else pays."""

from __future__ import annotations

import importlib
import os
import sys
from importlib import resources
from typing import Any, Final

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.errors import NoPicturesError

__all__ = ["build_model", "build_renderer", "mujoco"]

_SECOND_CUBE: Final = """
<body name="second_cube" mocap="true" pos="0.2 0.1 0.0125">
  <geom name="second_cube" class="looks" type="box" size="0.0125 0.0125 0.0125" rgba="0.1 0.6 0.15 1"/>
</body>
"""


def mujoco() -> Any:  # noqa: ANN401  # a module without types
    """The module; `SetupError` with the line that installs it where it is missing."""
    if sys.platform == "linux":  # before the import, which chooses: without a display the others fail
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        return importlib.import_module("mujoco")
    except ModuleNotFoundError as exc:
        raise SetupError(f"the simulator needs MuJoCo, which is not installed; run: {install_line('sim')}") from exc
    except (ImportError, AttributeError, RuntimeError) as exc:  # of the module that draws: it looks for its library
        raise _no_pictures(exc) from exc


def build_model(*, second_cube: bool = False) -> Any:  # noqa: ANN401
    """The scene, compiled; with a green cube beside the red one when asked."""
    text = (resources.files(__package__) / "so101_sim.xml").read_text(encoding="utf-8")
    if second_cube:
        text = text.replace("</worldbody>", f"{_SECOND_CUBE}</worldbody>")
    return mujoco().MjModel.from_xml_string(text)


def build_renderer(model: Any, width: int, height: int) -> Any:  # noqa: ANN401
    """What draws pictures of that size, for the thread that calls this and no other."""
    engine = mujoco()
    try:
        _draw_without_a_display(engine)
        renderer = engine.Renderer(model, height, width)
    except Exception as exc:  # what OpenGL raises depends on driver and binding
        raise _no_pictures(exc) from exc
    for flag in (engine.mjtRndFlag.mjRND_SHADOW, engine.mjtRndFlag.mjRND_REFLECTION):
        renderer.scene.flags[flag] = 0
    return renderer


def _draw_without_a_display(engine: Any) -> None:  # noqa: ANN401
    """MuJoCo chooses when it is imported; who did that before us, for its physics alone, may not have said EGL."""
    if sys.platform == "linux" and os.environ["MUJOCO_GL"] == "egl":
        chosen = sys.modules[engine.Renderer.__module__].gl_context
        chosen.GLContext = importlib.import_module("mujoco.egl").GLContext


def _no_pictures(exc: BaseException) -> NoPicturesError:
    return NoPicturesError(
        f"this machine cannot draw the simulated cameras' pictures ({type(exc).__name__}: {exc}); on Debian and Ubuntu "
        "install the packages libegl1, libgl1 and libgl1-mesa-dri, which need no GPU and no display"
    )
