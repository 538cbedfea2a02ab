"""Of a failure there is a film and a strip; of the rest nothing, and never more than was asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from reflex.connector import CameraFrame
from reflex_runner.evaluation.films import STRIP_PICTURES, Films


def frames(wide: int = 96) -> dict[str, CameraFrame]:
    return {name: CameraFrame(np.full((96, wide, 3), 90, np.uint8)) for name in ("front", "wrist")}


def played(films: Films, seed: int, steps: int = 60) -> Path | None:
    films.begin(seed, frames)
    for _ in range(steps):
        films.look()
    return films.keep()


def test_a_film_has_every_second_step_and_both_cameras(tmp_path: Path) -> None:
    path = played(Films(tmp_path / "failures", 2), 7)
    assert path == tmp_path / "failures" / "seed_7.mp4"
    with av.open(str(path)) as film:
        pictures = list(film.decode(video=0))
    assert (len(pictures), pictures[0].height, pictures[0].width) == (30, 160, 320)
    with Image.open(path.with_suffix(".jpg")) as strip:
        assert strip.size == (320 * STRIP_PICTURES, 160)


def test_no_more_than_so_many_are_kept(tmp_path: Path) -> None:
    films = Films(tmp_path, 1)
    assert played(films, 1) is not None
    assert played(films, 2) is None
    assert len(list(tmp_path.iterdir())) == 2


def test_without_pictures_there_is_no_film(tmp_path: Path) -> None:
    films = Films(tmp_path, 1)
    films.begin(1, None)
    films.look()
    assert films.keep() is None


def test_without_pyav_the_strip_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert played(Films(tmp_path, 1), 3) == tmp_path / "seed_3.jpg"
