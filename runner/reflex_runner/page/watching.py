"""`watched`: the live page of a run, and its film, for as long as the run lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from reflex.connector import CameraFrame
from reflex.embodiments import Embodiment
from reflex.errors import SetupError
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.page.film import Film
from reflex_runner.page.live_page import LivePage
from reflex_runner.page.live_view import LiveView

__all__ = ["PORT", "watched"]

PORT: Final = 8180
"""Where the page is, when nobody else is there."""


@contextmanager
def watched(
    robot: Embodiment,
    *,
    mode: str,
    frames: Callable[[], Mapping[str, CameraFrame]] | None = None,
    port: int | None = None,
    film: Path | None = None,
    say: Callable[[str], None] = lambda _line: None,
    clock: Clock = SYSTEM_CLOCK,
    problems: Callable[[], Mapping[str, str]] = dict,
) -> Iterator[LiveView]:
    """Gives the listener of the run. `frames` and `problems` as `LiveView` has them; `port` None is PORT, or free.

    `say` hears where the page is, and where the film lies. Without PyAV there is a page and no film, and it hears that.
    """
    view = LiveView(robot, mode=mode, frames=frames, problems=problems, clock=clock)
    with ExitStack() as opened:
        page = opened.enter_context(_page(view, port))
        say(f"the run can be watched at {page.url}")
        if film is not None:
            _film(opened, film, view, say)
        yield view


def _page(view: LiveView, port: int | None) -> LivePage:
    if port is not None:
        return LivePage(view, port)
    try:
        return LivePage(view, PORT)
    except SetupError:
        return LivePage(view)


def _film(opened: ExitStack, path: Path, view: LiveView, say: Callable[[str], None]) -> None:
    try:
        film = Film(path, view)
    except SetupError as exc:
        say(str(exc))
        return
    opened.callback(lambda: say(f"the film of the run is {path}") if film.frames else None)
    opened.enter_context(film)
