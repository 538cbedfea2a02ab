"""The table of what a kept prefix saves."""

from __future__ import annotations

from reflex_bench.prefix_bench import Measured, table_of

WAYS = {"whole": 20.0, "by model": 25.0, "kept": 12.5, "by model, shared": 22.0, "kept, shared": 12.0}


def test_a_row_says_what_a_hit_saves_and_a_loss_is_no_gain() -> None:
    won, lost = Measured("demo", 41_000, WAYS), Measured("wide", 30_100_000, {**WAYS, "kept": 70.0})
    assert (won.saved_ms, lost.saved_ms) == (7.5, -50.0)
    *_, first, second = table_of([won, lost]).splitlines()
    assert first == "| demo | 41 kB | 20.00 ms | 25.00 ms | 12.50 ms | 22.00 ms | 12.00 ms | 7.50 ms |"
    assert second.startswith("| wide | 30.1 MB |")
    assert second.endswith("| -50.00 ms |")
