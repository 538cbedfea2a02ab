"""A thread that draws, for whoever wants pictures in another: OpenGL knows only the thread that it was opened in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_runner.errors import HardwareError
from reflex_runner.simulation.eyes import CAMERAS, Eyes, Scene

__all__ = ["Studio"]

DRAWING_S: Final = 20.0
"""No picture takes so long, but the first one on a busy machine may take seconds."""


class Studio:
    """Draws scenes; opens OpenGL at once, and raises what it says."""

    def __init__(self, model: Any, width: int, height: int, cameras: Sequence[str] = CAMERAS) -> None:  # noqa: ANN401
        self._thread = ThreadPoolExecutor(1, "reflex-sim-eyes")
        try:
            self._eyes = self._thread.submit(Eyes, model, width, height, cameras).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def look(self, scene: Scene) -> Mapping[str, npt.NDArray[np.uint8]]:
        """A picture of each camera."""
        try:
            return self._thread.submit(self._eyes.look, scene).result(DRAWING_S)
        except TimeoutError as exc:
            raise HardwareError(
                f"the simulated cameras have drawn nothing for {DRAWING_S:g} s; is the machine busy?"
            ) from exc

    def close(self) -> None:
        """Close OpenGL, in its thread, and end that; may be called twice."""
        try:
            self._thread.submit(self._eyes.close).result(DRAWING_S)
        except RuntimeError:
            return  # it is closed already
        self._thread.shutdown()
