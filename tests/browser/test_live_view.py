"""The live page of a run in a real Chromium: it shows what happens, on any screen, to anybody, and fetches nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser.hands import PHONE, WIDE, Hands
from reflex.connector import CameraFrame
from reflex.guard import Violation
from reflex_runner.page.live_page import LivePage
from reflex_runner.page.live_view import LiveView
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.tick import DatedChunk, Event, Tick
from support.outside.browser import running_browser

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>"
SERIOUS = ("serious", "critical")
CLAMPED = Violation(0, 1, "shoulder_lift", 120.0, 100.0, "above_range")


class Cameras:
    """One that works, and one that has been frozen for long."""

    def __init__(self, view_of: list[LiveView]) -> None:
        self.view_of = view_of

    def __call__(self) -> dict[str, CameraFrame]:
        now = self.view_of[0].clock.now() if self.view_of else 0.0
        return {"front": CameraFrame(PICTURE, now - 0.02), "wrist": CameraFrame(PICTURE, now - 9.0)}


PICTURE = np.full((48, 64, 3), (40, 90, 200), np.uint8)


def a_run() -> LiveView:
    views: list[LiveView] = []
    view = LiveView(SIMULATED, mode="apply_actions", frames=Cameras(views))
    views.append(view)
    now = view.clock.now()
    for step in range(240):
        at = np.array([20 * math.sin(step / 20 + axis) for axis in range(5)] + [50.0], np.float32)
        clamped = (CLAMPED,) if step % 100 == 99 else ()
        view.ticked(Tick(step, now - (239 - step) / 30, "move", at - 1, at, at, applied=True, violations=clamped))
    view.answered(DatedChunk(41, now - 0.05, now, np.tile(at, (16, 1)), 1 / 30))
    view.noted(Event(now, "error", "stale_chunk", HOSTILE))
    return view


@pytest.fixture(scope="module")
def run() -> LiveView:
    return a_run()


@pytest.fixture(scope="module")
def hands(run: LiveView, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    folder: Path = tmp_path_factory.mktemp("chromium")
    with LivePage(run) as page, running_browser(folder) as browser:
        hands = Hands(browser, page.url.rstrip("/"))
        hands.open("/")
        hands.wait("document.querySelectorAll('#axes svg').length === 6")
        yield hands


def test_cameras_axes_guard_events_and_latency_are_shown(hands: Hands) -> None:
    text = hands.text("body")
    for shown in (
        "so101_sim",
        "applies actions",
        "moving",
        "shoulder_pan",
        "above its range",
        "stale_chunk",
        "number 41",
    ):
        assert shown in text, shown
    hands.wait("[...document.querySelectorAll('#cameras img')].every((each) => each.naturalWidth === 64)")
    assert "frozen" in hands.text("#cameras figure:nth-child(2)")
    assert "frozen" not in hands.text("#cameras figure:nth-child(1)")
    points = "document.querySelectorAll('#axes polyline.measured')[0].getAttribute('points').split(' ').length"
    assert hands.see(points) > 50
    assert hands.see("document.querySelectorAll('#axes polyline.planned')[0].getAttribute('points').length") > 0


def test_what_a_run_says_is_text_and_nothing_is_fetched_from_elsewhere(hands: Hands) -> None:
    hands.wait(f"document.querySelector('#events').innerText.includes({HOSTILE!r})")
    assert hands.see("document.querySelectorAll('#events img').length") == 0
    assert {address.split("/")[2] for address in hands.browser.requests} == {hands.base_url.split("/")[2]}
    assert hands.browser.complaints == []


@pytest.mark.parametrize(("width", "is_dark"), [(WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)])
def test_it_fits_the_screen_and_anybody_can_use_it(hands: Hands, width: int, *, is_dark: bool) -> None:
    hands.browser.resize(width, is_dark=is_dark)
    assert hands.see("document.documentElement.scrollWidth") <= width
    assert [found["id"] for found in hands.violations() if found["impact"] in SERIOUS] == []


def test_a_run_that_goes_on_is_followed_and_one_that_has_ended_says_so(hands: Hands, run: LiveView) -> None:
    hands.wait("!document.getElementById('gone').hidden")
    run.ticked(Tick(500, run.clock.now(), "stop"))
    hands.wait("document.getElementById('motion').textContent === 'stopped'")
    run.ticked(Tick(501, run.clock.now(), "hold"))
    hands.wait("document.getElementById('motion').textContent === 'holding'")
