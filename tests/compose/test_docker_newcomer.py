"""A newcomer's way, timed in a bare container: clone, `make serve`, the page, the first chunk. It prints a table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from compose.engine import Engine
from compose.newcomer import Newcomer, Step, prepared_image, running_newcomer
from support.outside.browser import Browser, running_browser
from support.promise import Promise
from support.server import free_port

WHOLE_WAY_S: Final = 180.0
SILENT_S: Final = 5.0
READY: Final = r"ready: POST http://127\.0\.0\.1"
STEPS: Final = {
    "git clone": r"cloned\r?\n",
    "make serve: the virtual environment": r"\d+ packages downloaded|\"\.venv/bin/reflex\" serve",
    "make serve: packages": r"\"\.venv/bin/reflex\" serve",
    "make serve: Triton and the policy": READY,
}
"""What ends each."""


@pytest.fixture(scope="module")
def image(bare_engine: Engine) -> Iterator[str]:
    with prepared_image(bare_engine) as name:
        yield name


def steps_in_the_terminal(newcomer: Newcomer) -> list[Step]:
    newcomer.waits_for(READY)
    steps, since_s = [], newcomer.terminal.seen[0][0]
    for name, pattern in STEPS.items():
        steps.append(newcomer.terminal.step(name, since_s, pattern))
        since_s += steps[-1].took_s
    return steps


def open_page(browser: Browser, url: str) -> Step:
    started = time.monotonic()
    browser.open(url)
    browser.until("!document.querySelector('#try-form').closest('section').hidden")
    took_s = time.monotonic() - started
    return Step("the page is open", took_s, took_s)


def draw_chunk(browser: Browser) -> Step:
    started = time.monotonic()
    browser.evaluate("document.querySelector('#try-form button').click()")
    browser.until("document.querySelector('svg.axis polyline')")
    took_s = time.monotonic() - started
    return Step("the first chunk is drawn", took_s, took_s)


@pytest.mark.timing
@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("has_terminal", [True, False], ids=["terminal", "pipe"])
def test_from_clone_to_the_first_chunk(
    bare_engine: Engine, tmp_path: Path, promise: Promise, *, has_terminal: bool
) -> None:
    port = free_port()
    with running_newcomer(bare_engine, tmp_path, port, has_terminal=has_terminal) as newcomer:
        steps = steps_in_the_terminal(newcomer)
        with running_browser(tmp_path) as browser:
            steps += [open_page(browser, f"http://127.0.0.1:{port}/"), draw_chunk(browser)]
            points = browser.evaluate("document.querySelector('svg.axis polyline').getAttribute('points')")
            policy = browser.evaluate("fetch('/config').then((answer) => answer.json())")

    whole = Step("from clone to chunk", sum(step.took_s for step in steps), max(step.silent_s for step in steps))
    where = "on a terminal" if has_terminal else "into a pipe"
    print(f"\n{where:<42} {'seconds':>8} {'silence':>8}", *steps, whole, sep="\n")
    assert (policy["policy_id"], len(points.split())) == ("pick_up_the_cube", policy["horizon"])
    promise(f"clone to first chunk, {where}: under three minutes", whole.took_s, at_most=WHOLE_WAY_S)
    promise(f"clone to first chunk, {where}: never silent for five seconds", whole.silent_s, at_most=SILENT_S)
