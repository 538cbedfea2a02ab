"""A curve is drawn from any numbers: what is none is a gap that can be seen, and it says in words what it shows."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest

from reflex_control.dashboard.curve import LARGE, SMALL, Size, curve_svg

Drawn = ET.Element


def drawn(points: list[tuple[int, float | None]], size: Size = SMALL, *, may_log: bool = False) -> Drawn:
    return ET.fromstring(curve_svg("Loss", points, size, may_log=may_log))


def places(svg: Drawn) -> list[tuple[float, float]]:
    lines = [
        (float(x), float(y))
        for line in svg.iter("polyline")
        for x, y in re.findall(r"(\S+),(\S+)", line.get("points", ""))
    ]
    return lines + [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in svg.iter("circle")]


def test_a_falling_loss_goes_down_from_left_to_right() -> None:
    svg = drawn([(step, 10.0 / (step + 1)) for step in range(0, 100, 10)], LARGE)
    xs, ys = zip(*places(svg), strict=True)

    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys)
    assert (svg.get("class"), svg.get("viewBox"), svg.get("role")) == ("curve large", "0 0 720 300", "img")
    assert svg.get("aria-label") == "Loss: 0.1099 at step 90, lowest 0.1099, highest 10"


def test_axes_have_numbers() -> None:
    svg = drawn([(step, 1.0 + step / 3000) for step in range(0, 3001, 100)])
    written = {kind: [text.text for text in svg.iter("text") if text.get("class") == kind] for kind in "xy"}
    assert written["x"] == ["0", "1k", "2k", "3k"]
    assert written["y"] == ["1", "1.5", "2"]


@pytest.mark.parametrize("none", [None, math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_number_is_a_gap_with_a_mark(none: float | None) -> None:
    svg = drawn([(0, 3.0), (1, 2.0), (2, none), (3, 1.0), (4, none), (5, 1.0), (6, 0.5)])

    assert len(svg.findall("polyline")) == 2
    assert len(svg.findall("circle")) == 1
    assert len([path for path in svg.iter("path") if path.get("class") == "gap"]) == 2
    assert str(svg.get("aria-label")).endswith(", 2 without a number")


@pytest.mark.parametrize(
    "values",
    [[], [None], [math.nan, math.inf], [1.0], [0.0, 0.0], [-1e100, 1e100], [1e-300, 1e100], [5e-324, 5e-324]],
)
@pytest.mark.parametrize("may_log", [False, True])
def test_any_numbers_have_a_curve_within_its_frame(values: list[float | None], *, may_log: bool) -> None:
    svg = drawn(list(enumerate(values)), LARGE, may_log=may_log)
    for x, y in places(svg):
        assert 0 <= x <= LARGE.width
        assert 0 <= y <= LARGE.height
    if not places(svg):
        assert svg.get("aria-label") == "Loss: nothing yet"


def test_a_title_is_text() -> None:
    assert "<script>" not in curve_svg("<script>", [(0, 1.0)])
