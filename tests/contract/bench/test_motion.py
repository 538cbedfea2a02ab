"""`reflex bench motion` against the demo policy as it is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.hostile_served import Served


@pytest.mark.slow
def test_a_served_policy_moves_the_simulated_arm(demo: Served, tmp_path: Path) -> None:
    options = ["--latency-ms", "40", "--jitter-ms", "10", "--seconds", "1", "--strategies", "sync,open-loop", "--json"]
    picture = tmp_path / "motion.png"
    url = f"http://127.0.0.1:{demo.port}"
    ended = CliRunner().invoke(app, ["bench", "motion", url, *options, "--plot", str(picture)])
    found = json.loads(ended.stdout)
    sync, ahead = found["trials"]

    assert ended.exit_code == 0
    assert (found["horizon"], found["embodiment"], found["has_rtc"]) == (50, "franka", False)
    assert found["plant"] == "mujoco"
    assert (sync["strategy"], ahead["strategy"]) == ("sync", "open-loop")
    assert sync["refusals"] == ahead["refusals"] == {}
    assert ahead["delay_median"] >= 1  # 40 ms at 20 Hz
    assert sync["tracking_rms"] > 0
    assert picture.stat().st_size > 5_000
