"""`reflex status` and `reflex watch` against the real server, as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from support.hostile_served import Served
from support.waiting import HANGS_S

REFLEX = (sys.executable, "-m", "reflex.cli")


def test_status_tells_what_the_server_answered(demo: Served) -> None:
    before = told(demo)["answers"]["count"]
    demo.act()

    after = told(demo)

    assert after["answers"]["count"] == before + 1
    assert after["policies"]["a"]["embodiment"] == "franka"


def told(demo: Served) -> Any:
    done = subprocess.run([*REFLEX, "status", demo.process.base_url, "--json"], capture_output=True, check=True)
    return json.loads(done.stdout)


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
