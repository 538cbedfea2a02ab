"""The guide to the dashboard shows every page, on a wide screen and on a phone."""

from __future__ import annotations

import re
from typing import Final

import pytest
from PIL import Image

from docs.documents import REPOSITORY

GUIDE: Final = REPOSITORY / "docs" / "dashboard.md"
FOLDER: Final = REPOSITORY / "docs" / "dashboard"
PAGES: Final = (
    "sign-in", "overview", "deployments", "deployment", "sessions", "session", "ended-session", "robots", "robot",
    "pairing", "datasets", "training", "run", "receipts", "keys", "device",
)  # fmt: skip
SUFFIX_OF_PHONE: Final = "-390"
MOST_BYTES: Final = 900_000


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_pictured_wide_and_narrow_and_shown(page: str) -> None:
    shown = re.findall(r"\(dashboard/([\w-]+\.png)\)", GUIDE.read_text(encoding="utf-8"))
    for name, width in ((f"{page}.png", 1200), (f"{page}{SUFFIX_OF_PHONE}.png", 390)):
        with Image.open(FOLDER / name) as picture:
            assert picture.width == width
        assert name in shown


def test_the_pictures_weigh_little_and_there_are_no_others() -> None:
    files = list(FOLDER.iterdir())

    assert sum(file.stat().st_size for file in files) < MOST_BYTES
    assert {file.stem.removesuffix(SUFFIX_OF_PHONE) for file in files} == set(PAGES)
