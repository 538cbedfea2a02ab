from __future__ import annotations

import sys
from typing import Any

import pytest

from reflex.cli.plot import MAX_PLOT_STEPS, axis_labels, chunk_lines, sparkline, summary_lines
from reflex.client import chunk
from reflex.embodiments import load_embodiment


def test_a_ramp_rises_block_by_block() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"


@pytest.mark.parametrize("value", [0.0, -3.5, 1e308])
def test_a_constant_axis_is_a_flat_line(value: float) -> None:
    assert sparkline([value] * 4) == "▄▄▄▄"


def test_a_long_horizon_is_shortened_and_keeps_its_shape() -> None:
    line = sparkline([float(step) for step in range(1000)])
    assert len(line) == MAX_PLOT_STEPS
    assert (line[0], line[-1]) == ("▁", "█")
    assert sorted(line) == list(line)


def test_the_largest_numbers_do_not_overflow() -> None:
    assert sparkline([-sys.float_info.max, sys.float_info.max]) == "▁█"


def test_labels_line_up_when_there_are_more_than_ten_axes() -> None:
    starts = {line.index("▄") for line in chunk_lines([[0.0] * 12], axis_labels(None, 12))}
    assert starts == {len("axis 10") + 2}


def test_an_axis_is_called_by_its_name_with_its_unit() -> None:
    labels = axis_labels(load_embodiment("ur5"), 6)
    assert labels[0] == "shoulder_pan_joint (rad)"
    assert chunk_lines([[0.0] * 6], labels)[2].startswith("elbow_joint (rad)          ▄")


def test_the_names_of_another_robot_are_not_put_on_this_ones_axes() -> None:
    assert axis_labels(load_embodiment("ur5"), 7) == [f"axis {index}" for index in range(7)]


@pytest.mark.parametrize("columns", [48, 60, 79, 80, 120, 400])
def test_no_line_of_the_plot_is_wider_than_the_terminal(columns: int) -> None:
    actions = [[step * 1.23456, -1e-5 * step, 0.0] for step in range(200)]
    lines = chunk_lines(actions, ["shoulder_pan (deg)", "axis", "b"], columns)
    assert max(map(len, lines)) == min(columns, len("shoulder_pan (deg)    +0 .. +245.7  ") + MAX_PLOT_STEPS)


def test_a_terminal_too_narrow_for_anything_still_shows_a_course() -> None:
    (line,) = chunk_lines([[float(step)] for step in range(50)], ["axis 0"], 1)
    assert "▁▂▃▄▅▆▇█" in line


@pytest.mark.parametrize(
    ("steps", "told"), [(10, "10 denoising steps"), (1, "1 denoising step"), (None, "? denoising steps")]
)
def test_the_summary_counts_denoising_steps_also_of_a_server_that_tells_none(steps: int | None, told: str) -> None:
    result: Any = {**chunk([[0.0] * 6] * 16), "denoising_steps": steps}
    if steps is None:
        del result["denoising_steps"]

    assert summary_lines(result)[0].startswith(f"16 steps x 6 axes, {told}, ")
