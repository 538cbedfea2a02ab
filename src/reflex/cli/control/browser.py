"""Showing a page to whoever sits at this machine, where somebody does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

__all__ = ["has_browser", "open_page"]

ELSEWHERE: Final = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "CI")
"""The person sits at another machine, or nobody does."""
DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
WITH_A_DISPLAY: Final = ("darwin", "win32")


def has_browser(
    environment: Mapping[str, str] = os.environ, *, platform: str = sys.platform, is_terminal: bool | None = None
) -> bool:
    """Whether a person at this machine would see a page: never in a script, over SSH or without a display.

    Without a display Python would pick a browser for the terminal, and take it over.
    """
    at_a_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
    if not at_a_terminal or any(environment.get(name) for name in ELSEWHERE):
        return False
    return platform in WITH_A_DISPLAY or any(environment.get(name) for name in DISPLAYS)


def open_page(url: str) -> None:
    """Open it, or do not: the address was printed. Nothing of the browser's own output comes in between."""
    if url.startswith(("http://", "https://")):
        subprocess.Popen(  # noqa: S603 - our own Python, and an address
            [sys.executable, "-m", "webbrowser", url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
