"""Pictures of the simulator need OpenGL, which a machine may lack; its physics does not."""

from __future__ import annotations

from functools import cache

from reflex_runner.errors import NoPicturesError
from reflex_runner.simulation.engine import build_model, build_renderer
from support.skips import skip_for_want_of

__all__ = ["skip_without_pictures"]


def skip_without_pictures() -> None:
    """Skips the test, or all that share the fixture, on a machine that cannot draw."""
    if (reason := _why_no_pictures()) is not None:
        skip_for_want_of("OpenGL (EGL)", reason)


@cache
def _why_no_pictures() -> str | None:
    try:
        build_renderer(build_model(), 16, 16).close()
    except NoPicturesError as exc:
        return str(exc)
    return None
