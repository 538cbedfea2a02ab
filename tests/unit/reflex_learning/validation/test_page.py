"""The page of a validation: whole, without anything foreign, whatever a dataset calls its things."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reflex_learning.validation.catalogue import ALL
from reflex_learning.validation.page import render_page
from reflex_learning.validation.report import AxisRange, Report
from reflex_learning.validation.validating import validate
from support.datasets.defects import DEFECTS
from support.datasets.drafts import LENGTHS

VOID = {"meta"}


class Nesting(HTMLParser):
    """Fails where an element is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") or name in {"href", "src"} for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Nesting:
    nesting = Nesting()
    nesting.feed(page)
    assert nesting.open == []
    assert not nesting.seen & {"script", "link", "img", "iframe"}
    return nesting


@pytest.mark.slow
def test_it_tells_every_rule_and_draws_episodes_and_axes(tmp_path: Path) -> None:
    page = render_page(validate(DEFECTS["video-frames"].make(tmp_path / "dataset")))

    parsed(page)
    assert "not fit for training" in page
    assert "episode 3, frame 47, videos/observation.images.front/chunk-000/file-003.mp4" in page
    assert all(f"<td>{rule.id}</td>" in page for rule in ALL)
    assert page.count("<rect class=bar") == len(LENGTHS) + 2 * 6
    assert "gripper" in page


def test_a_name_that_is_markup_is_text() -> None:
    report = Report("<script>alert(1)</script>")
    report.lengths, report.axes = [30], [AxisRange("a<b", '"><script>', 0.0, 0.5, 0.1, 1.0)]

    page = render_page(report)

    parsed(page)
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("lengths", [[], [0], [1], list(range(1, 5000))])
def test_episodes_of_any_number_are_drawn(lengths: list[int]) -> None:
    report = Report("d")
    report.lengths = lengths
    report.axes = [AxisRange("action", "still", 2.0, 2.0, 0.0, 2.0)]

    page = render_page(report)

    parsed(page)
    assert len(re.findall("<title>[0-9.]+ s</title>", page)) <= 360
