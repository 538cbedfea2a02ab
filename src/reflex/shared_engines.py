"""A folder of engines that machines share: who builds puts finished ones there, who serves waits for them.

    <folder>/<fingerprint>/     a model repository with its engines: complete, or not there
    <folder>/current            which of them is to be served from now on
    <folder>/.lock              held while building; the kernel releases it however the builder ends

`reflex engines build --shared` writes it and `reflex engines wait` reads it, on machines with other packages each.
What is served already is never changed, and nothing is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reflex.durable_files import partial_of, replace_file
from reflex.errors import SetupError

__all__ = ["CURRENT", "LOCK", "await_engines", "current_engines", "link_engines", "make_current"]

LOCK: Final = ".lock"
CURRENT: Final = "current"
POLL_S: Final = 1.0


def current_engines(folder: Path) -> Path | None:
    """The repository that is to be served; None while there is none."""
    try:
        name = (folder / CURRENT).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    place = folder / name
    return place if name and place.is_dir() else None


def make_current(place: Path) -> None:
    """Have those who start from now on serve `place`; one builder at a time."""
    replace_file(place.with_name(CURRENT), f"{place.name}\n".encode())


def await_engines(
    folder: Path,
    timeout_s: float,
    on_wait: Callable[[float], object],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """The repository that is current; `SetupError` when there is none in time.

    `on_wait` is told with every look how many seconds are left.
    """
    deadline_s = clock() + timeout_s
    while (place := current_engines(folder)) is None:
        left_s = deadline_s - clock()
        if left_s <= 0:
            raise SetupError(f"{folder / CURRENT} names no finished engines after {timeout_s:.0f} s")
        on_wait(left_s)
        sleep(min(POLL_S, left_s))
    return place


def link_engines(place: Path, link: Path) -> None:
    """Make `link` lead to `place`, in one step; a link that is there already is replaced."""
    partial = partial_of(link)
    try:
        partial.unlink(missing_ok=True)
        partial.symlink_to(place.absolute())
        partial.replace(link)
    except OSError as exc:
        raise SetupError(
            f"{link} cannot become a link ({exc.strerror}); name a free path in a folder of yours"
        ) from exc
