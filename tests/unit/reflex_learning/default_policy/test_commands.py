from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from reflex_learning.default_policy.commands import reflex_json, served
from reflex_learning.errors import TrainingError
from support.waiting import HANGS_S

SHIPPED = Path(__file__).parents[4] / "model_repository"


@pytest.mark.slow
def test_a_command_gives_its_json_or_its_words(tmp_path: Path) -> None:
    assert reflex_json("inspect", str(SHIPPED), "--policy", "demo")["family"] == "smolvla"
    with pytest.raises(TrainingError, match=r"`reflex datasets` ended with 1: .*; run this again to go on"):
        reflex_json("datasets", "validate", str(tmp_path / "none"))


@pytest.mark.slow
def test_a_server_is_there_as_long_as_it_is_asked() -> None:
    with served(SHIPPED, "sim_demo") as url:
        assert httpx.get(f"{url}/health", timeout=HANGS_S).json()["status"] == "ready"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health", timeout=HANGS_S)


@pytest.mark.slow
def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"it said last: .*holds no policy"), served(tmp_path, "none"):
        pass
