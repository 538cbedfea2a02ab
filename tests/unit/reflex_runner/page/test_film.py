from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reflex.connector import CameraFrame
from reflex.errors import SetupError
from reflex_runner.page.film import FILM_HZ, Film
from reflex_runner.page.live_view import LiveView
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.tick import Tick
from support.waiting import wait_until


class Cameras:
    """Two of different sizes, which show nothing before they are asked to."""

    def __init__(self) -> None:
        self.shade, self.is_on, self.extra = 30, False, False

    def __call__(self) -> dict[str, CameraFrame]:
        if not self.is_on:
            return {}
        found = {"front": (48, 64), "wrist": (32, 32)} | ({"third": (10, 10)} if self.extra else {})
        return {name: CameraFrame(np.full((*size, 3), self.shade, np.uint8), 0.0) for name, size in found.items()}


def shown_in(path: Path) -> list[Any]:
    with av.open(str(path)) as film:
        return [(float(frame.time or 0.0), frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)]


@pytest.fixture
def cameras() -> Cameras:
    return Cameras()


@pytest.fixture
def view(cameras: Cameras) -> LiveView:
    return LiveView(SIMULATED, mode="dry_run", frames=cameras)


@pytest.mark.slow
def test_a_film_has_the_cameras_side_by_side_at_their_moments(view: LiveView, cameras: Cameras, tmp_path: Path) -> None:
    path, began = tmp_path / "made" / "run.mp4", view.clock.now()
    with Film(path, view) as film:
        cameras.is_on = True
        wait_until(lambda: film.frames > 4, "it begins with the first pictures")
        cameras.shade = 220
        view.ticked(Tick(1, 0.0, "move"))
        before = film.frames
        wait_until(lambda: film.frames > before + 4, "it goes on")
        cameras.extra = True
        after = film.frames
    took_s = view.clock.now() - began

    shown = shown_in(path)
    assert len(shown) == film.frames >= after
    assert {picture.shape for _, picture in shown} == {(240 + 20, 320 + 240, 3)}
    moments = [moment for moment, _ in shown]
    assert moments[0] == 0.0
    assert moments == sorted(set(moments))
    assert 8 / (2 * FILM_HZ) < moments[-1] <= took_s
    first, last = shown[0][1][:240], shown[-1][1][:240]
    assert abs(first.mean() - 30) < 6
    assert abs(last.mean() - 220) < 6


def test_a_run_that_shows_nothing_makes_no_film(view: LiveView, tmp_path: Path) -> None:
    with Film(tmp_path / "run.mp4", view):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_was_filmed_is_there_before_the_end(view: LiveView, cameras: Cameras, tmp_path: Path) -> None:
    cameras.is_on = True
    path = tmp_path / "run.mp4"
    with Film(path, view) as film:
        wait_until(lambda: film.frames > 3 * FILM_HZ, "three seconds are filmed")
        copied = tmp_path / "as_after_kill.mp4"
        copied.write_bytes(path.read_bytes())
    assert len(shown_in(copied)) >= FILM_HZ


def test_a_film_that_cannot_be_written_ends_and_nothing_else(
    view: LiveView, cameras: Cameras, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cameras.is_on = True
    (tmp_path / "file").touch()
    with Film(tmp_path / "file" / "run.mp4", view):
        wait_until(lambda: "ends here" in caplog.text, "it says so")


def test_without_pyav_the_line_is_said_that_installs_it(
    view: LiveView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(SetupError, match=r"needs PyAV, which is not installed; run: .*\[datasets\]"):
        Film(tmp_path / "run.mp4", view)
