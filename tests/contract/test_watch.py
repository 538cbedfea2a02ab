"""`reflex status` and `reflex watch` against the real server, as processes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from support.hostile_served import Served
from support.waiting import HANGS_S

REFLEX = (sys.executable, "-m", "reflex.cli")


@pytest.mark.slow
def test_status_tells_what_the_server_answered(demo: Served) -> None:
    before = told(demo)["answers"]["count"]
    demo.act()

    after = told(demo)

    assert after["answers"]["count"] == before + 1
    assert after["policies"]["a"]["embodiment"] == "franka"


def told(demo: Served) -> Any:
    done = subprocess.run([*REFLEX, "status", demo.process.base_url, "--json"], capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_watch_goes_on_until_ctrl_c_and_ends_without_a_word(demo: Served) -> None:
    watching = subprocess.Popen(
        [*REFLEX, "watch", demo.process.base_url, "--every", "0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    looks = 0
    for line in watching.stdout:
        looks += line.startswith("lately")
        if looks == 2:
            break
    watching.send_signal(signal.SIGINT)
    rest, errors = watching.communicate(timeout=HANGS_S)

    assert watching.returncode == 130
    assert errors == ""
    assert "Traceback" not in rest


@pytest.mark.slow
def test_on_a_terminal_a_page_takes_the_place_of_the_one_before_and_no_line_wraps(demo: Served) -> None:
    screen, terminal = pty.openpty()
    watching = subprocess.Popen(
        [*REFLEX, "watch", demo.process.base_url, "--every", "0.1"],
        stdout=terminal, stderr=terminal, env={**os.environ, "COLUMNS": "40"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while shown.count(b"\x1b[J") < 2:
        shown += os.read(screen, 65536)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(HANGS_S) == 130
    os.close(screen)

    first, second = shown.decode().split("\x1b[J")[:2]
    assert first.splitlines()[-1] == f"\x1b[{len(first.splitlines()) - 1}A", "back to where the page began"
    assert max(len(line) for line in second.splitlines() if not line.startswith("\x1b")) == 40
    assert re.search(r"^axes +panda_joint1 \(rad\), .*…\r$", second, re.MULTILINE)
