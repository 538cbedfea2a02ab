from __future__ import annotations

import http.client
import importlib
from pathlib import Path

import numpy as np
import pytest

from reflex.connector import CameraFrame
from reflex.errors import SetupError
from reflex_runner.page import watching
from reflex_runner.page.live_page import LivePage
from reflex_runner.page.live_view import LiveView
from reflex_runner.page.watching import watched
from reflex_runner.simulation.axes import SIMULATED
from support.server import free_port
from support.waiting import HANGS_S, wait_until

FRAMES = {"front": CameraFrame(np.zeros((8, 8, 3), np.uint8), 0.0)}


def test_a_watched_run_has_a_page_and_a_film_and_says_where_they_are(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "run.mp4"
    with watched(SIMULATED, mode="dry_run", frames=lambda: FRAMES, film=path, say=said.append) as view:
        address = said[0].rpartition("http://")[2].strip("/")
        connection = http.client.HTTPConnection(address, timeout=HANGS_S)
        connection.request("GET", "/run.json")
        assert b'"mode": "dry_run"' in connection.getresponse().read()
        connection.close()
        assert isinstance(view, LiveView)
        wait_until(path.exists, "the film has begun")
    assert said[1:] == [f"the film of the run is {path}"]


def test_its_usual_port_that_is_taken_is_no_trouble_and_one_that_was_asked_for_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setattr(watching, "PORT", port)
    with LivePage(LiveView(SIMULATED, mode="dry_run"), port):
        said: list[str] = []
        with watched(SIMULATED, mode="dry_run", say=said.append):
            assert f":{port}/" not in said[0]
        with pytest.raises(SetupError, match=str(port)), watched(SIMULATED, mode="dry_run", port=port):
            pass


def test_without_pyav_there_is_a_page_and_no_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    said: list[str] = []
    with watched(SIMULATED, mode="dry_run", frames=lambda: FRAMES, film=tmp_path / "run.mp4", say=said.append):
        assert "can be watched at" in said[0]
        assert "needs PyAV" in said[1]
    assert len(said) == 2
