"""Opens a page in headless Chromium and says what it complained about, and what it wanted from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.skips import skip_for_want_of

__all__ = ["Visit", "visit"]

TIMEOUT_S = 60.0
OWN_INITIATOR = "not an origin"
"""Chromium's own requests (updates, dictionaries), which no page has asked for."""


@dataclass(frozen=True)
class Visit:
    """What a visit to a page showed."""

    dom: str
    console: list[str]
    requests: list[str]


def visit(page: Path, folder: Path, *, width: int = 1200) -> Visit:
    """Skips the test where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        skip_for_want_of("chromium")
    net_log = folder / "net.json"
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--window-size={width},2000", f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr", f"--log-net-log={net_log}", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    console = re.findall(r"CONSOLE:\d+\] (.*)", done.stderr)
    return Visit(done.stdout, console, _requests_of_the_page(net_log))


def _requests_of_the_page(net_log: Path) -> list[str]:
    events = json.loads(net_log.read_text())["events"]
    parameters = [event.get("params", {}) for event in events]
    return [
        found["url"]
        for found in parameters
        if found.get("initiator", OWN_INITIATOR) != OWN_INITIATOR and str(found.get("url", "")).startswith("http")
    ]
