from __future__ import annotations

import sys

import pytest

from reflex.cli.plot import MAX_PLOT_STEPS, chunk_lines, sparkline


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
    starts = {line.index("▄") for line in chunk_lines([[0.0] * 12])}
    assert starts == {len("axis 10") + 2}
