from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from reflex.errors import SetupError
from reflex_analysis.motion.plot import COLOURS, WIDTH, draw_plot
from support.motion.trials import bench, served, trial

TRIALS = [trial(name, latency) for name in ("sync", "open-loop") for latency in (0.0, 100.0)]


def is_drawn(file: Path, colour: str) -> bool:
    with Image.open(file) as image:
        used = np.array([pixel for _, pixel in image.convert("RGB").getcolors(256) or []])
    return bool(np.any(np.abs(used - ImageColor.getrgb(colour)).max(axis=1) <= 6))


def test_each_strategy_has_a_colour_of_its_own_in_a_png(tmp_path: Path) -> None:
    draw_plot(tmp_path / "motion.png", bench(), served(), TRIALS)

    with Image.open(tmp_path / "motion.png") as image:
        assert (image.format, image.width) == ("PNG", WIDTH)
        assert image.height > 500
    assert [is_drawn(tmp_path / "motion.png", colour) for colour in COLOURS[:3]] == [True, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("trials", [TRIALS[:1], TRIALS[2:], TRIALS * 2], ids=["one", "one strategy", "repeated"])
def test_any_number_of_trials_can_be_drawn(trials: list[object], tmp_path: Path) -> None:
    draw_plot(tmp_path / "motion.png", bench(), served(), trials)  # type: ignore[arg-type]

    assert (tmp_path / "motion.png").stat().st_size < 150_000


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"--plot .*nowhere.* cannot be written"):
        draw_plot(tmp_path / "nowhere" / "motion.png", bench(), served(), TRIALS)
