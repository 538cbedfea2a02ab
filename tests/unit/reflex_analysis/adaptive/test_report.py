from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from reflex.embodiments import load_embodiment
from reflex_analysis.adaptive.curve import Answer, Observed
from reflex_analysis.adaptive.plot import RULE, draw_curve
from reflex_analysis.adaptive.report import Curve, as_json, curve_of, table_lines, verdict

FRANKA = load_embodiment("franka")


def curve(error: float, bend: float = 0.01) -> Curve:
    """Nine answers of one episode; `error` is that of half the steps, on the second axis, as a share of its range."""
    full, half = np.zeros((4, 7)), np.zeros((4, 7))
    half[2, 1] = error * (FRANKA.action_high[1] - FRANKA.action_low[1])
    answers = {10: Answer(full, (0.0, *[bend / 10] * 9)), 5: Answer(half, (0.0, *[bend / 5] * 4))}
    return curve_of([Observed("e", answers)] * 9, FRANKA, [1e-5, 0.05])


def test_the_table_has_a_line_for_each_tolerance_and_each_number_of_steps() -> None:
    head, *lines = table_lines(curve(0.01))

    assert head.split("  ")[0] == "rule"
    assert [line.split("  ")[0] for line in lines] == ["tolerance 1e-05", "tolerance 0.05", "always 10", "always 5"]
    assert lines[1].split()[2:] == ["6.67", "33%", "1.000%", "1.000%", "10:", "3,", "5:", "6"]


def test_the_verdict_says_whether_the_goal_is_reached_and_at_what() -> None:
    assert verdict(curve(0.01)) == (
        "reached (30% of the steps at an error of 2% of each axis' range): a tolerance of 0.05 saves 33% of the steps, "
        f"with an error of at most 1.00% ({FRANKA.action_names[1]}), on 9 observations of 1 episode"
    )
    assert verdict(curve(0.03)).startswith("not reached: at no tolerance the rule saves steps within that error")
    assert verdict(curve(0.0, bend=1e3)).startswith("not reached: at no tolerance")


def test_json_has_every_point_and_is_json() -> None:
    found = json.loads(json.dumps(as_json(curve(0.01), "demo@1", {"why": 2})))

    assert (found["reached"], found["best_tolerance"], found["skipped"]) == (True, 0.05, {"why": 2})
    assert [point["taken"] for point in found["rule"]] == [{"10": 9}, {"10": 3, "5": 6}]
    assert [point["mean_steps"] for point in found["fixed"]] == [10.0, 5.0]
    assert found["rule"][1]["errors"].keys() == set(FRANKA.action_names)


def test_the_plot_is_a_png_with_the_rule_in_it(tmp_path: Path) -> None:
    draw_curve(tmp_path / "curve.png", curve(0.03), "demo")

    with Image.open(tmp_path / "curve.png") as image:
        colours = np.array([pixel for _, pixel in image.convert("RGB").getcolors(256) or []])
    assert np.any(np.abs(colours - ImageColor.getrgb(RULE)).max(axis=1) <= 6)
