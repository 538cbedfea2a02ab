"""`python -m reflex_bench.prefix_bench` with one policy of real size, once: all ways give the same actions."""

from __future__ import annotations

import pytest

from reflex_bench import prefix_bench


@pytest.mark.slow
def test_every_way_to_the_actions_is_measured_and_gives_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert prefix_bench.main(["--policy", "smolvla-size-fp16", "--rounds", "1"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| smolvla-size-fp16 | 4.9 MB |")
    assert row.count(" ms |") == 6
