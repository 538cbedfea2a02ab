"""A page is opened for whoever sits at this machine, and for nobody else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from reflex.cli.control.browser import has_browser, open_page

SCREEN = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("environment", "platform", "is_terminal", "expected"),
    [
        (SCREEN, "linux", True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True, True),
        ({}, "darwin", True, True),
        ({}, "linux", True, False),
        (SCREEN, "linux", False, False),
        ({}, "darwin", False, False),
        (SCREEN | {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", True, False),
        (SCREEN | {"SSH_TTY": "/dev/pts/1"}, "darwin", True, False),
        (SCREEN | {"CI": "true"}, "linux", True, False),
        ({"DISPLAY": ""}, "linux", True, False),
    ],
)
def test_somebody_sees_a_page_only_at_a_terminal_of_this_machine_with_a_display(
    environment: dict[str, str], platform: str, is_terminal: bool, expected: bool
) -> None:
    assert has_browser(environment, platform=platform, is_terminal=is_terminal) is expected


def test_no_test_opens_one() -> None:
    assert not has_browser(SCREEN)


@pytest.mark.parametrize(
    ("url", "opened"),
    [("http://control:8100/device", True), ("https://control/device", True), ("file:///etc/passwd", False),
     ("javascript:alert(1)", False), ("--help", False)],
)  # fmt: skip
def test_only_a_web_page_is_opened_and_its_browser_says_nothing(
    monkeypatch: pytest.MonkeyPatch, url: str, opened: bool
) -> None:
    started: list[tuple[list[str], dict[str, Any]]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: started.append((command, how)))

    open_page(url)

    assert [command for command, _ in started] == [[sys.executable, "-m", "webbrowser", url]] * opened
    assert all({how[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL} for _, how in started)
