"""How many robots a card serves: by the formula of docs/gpu.md, from a file of the check or the figures of an H200."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reflex_bench.gpu_check.sizing import H200, NotMeasuredError, capacity, curve_of, main


def results(**curves: dict[int, float]) -> dict[str, Any]:
    """A file of the check with the chunks of one way after the other."""
    rows = [
        {"value": ms, "keys": {"family": "pi0", "cameras": 2, "way": way, "part": "together", "batch": batch}}
        for way, curve in curves.items()
        for batch, ms in curve.items()
    ]
    return {"stages": [{"rows": [*rows, {"value": 1.0, "keys": {"part": "encoder"}}]}]}


def test_seven_tenths_of_the_rate_are_shared_among_the_robots() -> None:
    assert capacity({1: 10.0}, hz=5, deadline_ms=100).robots == 14


def test_a_batch_counts_whose_double_time_fits_the_deadline() -> None:
    curve = {1: 10.0, 4: 20.0, 8: 30.0}

    assert capacity(curve, hz=5, deadline_ms=50).batch == 4
    assert capacity(curve, hz=5, deadline_ms=70).batch == 8
    assert capacity(curve, hz=5, deadline_ms=20).robots == 0


def test_a_larger_batch_that_gains_nothing_is_not_taken() -> None:
    assert capacity({1: 10.0, 8: 80.0}, hz=5, deadline_ms=1000).batch == 1


def test_the_way_that_is_quickest_alone_is_the_one_to_serve_by() -> None:
    assert curve_of(results(cuda={1: 12.0, 4: 20.0}, other={1: 9.0}), "pi0", 2) == {1: 9.0}


def test_what_was_not_measured_is_said_with_what_was() -> None:
    with pytest.raises(NotMeasuredError, match="pi0 with 2"):
        curve_of(results(cuda={1: 12.0}), "smolvla", 2)


def test_the_command_answers_from_a_file_and_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results(cuda={1: 10.0})))

    assert main([str(path), "--cameras", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["robots"] == 14
    assert main([]) == 0
    assert "3 robots" in capsys.readouterr().out
    assert main([str(tmp_path / "none.json")]) == 1
    assert H200["pi0", 3][1] == pytest.approx(44.1)
