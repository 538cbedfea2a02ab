"""Moments: one form on the wire, which every side reads alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.signed.moments import iso_of, ms_of

YEAR_1000_MS, YEAR_9999_MS = -30_610_224_000_000, 253_402_300_799_999


def test_a_moment_is_utc_with_milliseconds() -> None:
    assert iso_of(0) == "1970-01-01T00:00:00.000Z"
    assert iso_of(1_795_774_500_007) == "2026-11-27T10:15:00.007Z"


@given(st.integers(YEAR_1000_MS, YEAR_9999_MS))
def test_a_moment_reads_back(moment_ms: int) -> None:
    assert ms_of(iso_of(moment_ms)) == moment_ms


@pytest.mark.parametrize("text", [
    "", "2026-11-27", "2026-11-27T10:15:00Z", "2026-11-27T10:15:00.007", "2026-11-27T10:15:00.007+00:00",
    "2026-11-27T10:15:00.0070Z", "2026-13-27T10:15:00.007Z", "2026-11-27T25:15:00.007Z", " 2026-11-27T10:15:00.007Z",
    "2026-11-27T10:15:00.007Z\n", "٢٠٢٦-11-27T10:15:00.007Z", None, 5,
])  # fmt: skip
def test_no_other_form_is_read(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        ms_of(text)
