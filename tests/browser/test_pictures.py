"""Pictures of every page for the documents, of a laboratory that was just set up; `make dashboard-test` keeps them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from browser.conftest import Dashboard, furnished
from browser.hands import PHONE, WIDE, Hands
from docs.test_dashboard_pictures import SUFFIX_OF_PHONE
from support.outside.control_plane import prepared_store, running_control
from support.outside.lab import PER_BEAT
from support.outside.visitor import UNHURRIED

pytestmark = pytest.mark.slow

COLOURS: Final = 32
"""A page has a dozen, and shades of them where letters end."""
HIGHEST: Final = 1500
"""Of a long page the beginning is enough."""
FOLDER: Final = os.environ.get("REFLEX_DASHBOARD_PICTURES", "")
"""Where the pictures are kept; nowhere when empty."""


@pytest.fixture(params=[WIDE, PHONE])
def scene(dashboard: Dashboard, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Dashboard, int]]:
    """A store of its own, in which nothing but the set-up has happened, in the browser of the other tests."""
    with prepared_store(tmp_path / "data") as (ours, _), running_control(tmp_path / "data", *UNHURRIED) as control:
        yield furnished(ours, control, Hands(dashboard.hands.browser, control.base_url)), request.param


def test_the_pages_are_pictured_for_the_documents(scene: tuple[Dashboard, int], tmp_path: Path) -> None:
    (dashboard, width), hands = scene, scene[0].hands
    folder, suffix = Path(FOLDER or tmp_path / "pictures"), SUFFIX_OF_PHONE if width == PHONE else ""
    folder.mkdir(parents=True, exist_ok=True)
    hands.browser.resize(width)
    hands.sign_in(dashboard.lab.key.secret)
    hands.open(dashboard.paths["session"])
    hands.wait("document.querySelector('#link').textContent.startsWith('Live.')")
    steps = 41 * PER_BEAT
    dashboard.lab.beat(dashboard.robot_id, dashboard.session_id, steps=steps, guard_violations=3, latency_ms=60.5)
    hands.wait(f"document.querySelector('#steps').textContent === '{steps}'")
    for name, path in dashboard.paths.items():
        if name != "session":
            hands.open(path)
        keep_picture(hands, folder / f"{name}{suffix}.png", width)
    hands.open(f"/robots/{dashboard.robot_id}")
    hands.submit(f"/robots/{dashboard.robot_id}/pairing", "/robots/")
    keep_picture(hands, folder / f"pairing{suffix}.png", width)
    hands.submit("/sign-out", "/sign-in")
    hands.open("/sign-in")
    keep_picture(hands, folder / f"sign-in{suffix}.png", width)


def keep_picture(hands: Hands, file: Path, width: int) -> None:
    """With few colours, so that it weighs little, and without the empty rest of a short page."""
    picture = Image.open(io.BytesIO(hands.browser.picture())).convert("RGB")
    assert picture.width == width
    height = int(hands.see("Math.ceil(document.querySelector('main').getBoundingClientRect().bottom + scrollY)"))
    cut = picture.crop((0, 0, width, min(height, picture.height, HIGHEST)))
    cut.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
