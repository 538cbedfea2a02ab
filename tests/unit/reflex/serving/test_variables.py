"""A variable that nobody reads is told of, with what was meant, and never with its value."""

from __future__ import annotations

import pytest

from reflex.serving.variables import slips

KNOWN = frozenset({"REFLEX_PORT", "REFLEX_SPLIT"})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("REFLEX_PORT", []),
        ("PATH", []),
        ("REFLEX", []),
        ("REFLEX_PROT", ["REFLEX_PROT is no setting of `reflex x` and has no effect; did you mean REFLEX_PORT?"]),
        ("REFLEX_COLOUR", ["REFLEX_COLOUR is no setting of `reflex x` and has no effect"]),
    ],
)
def test_only_what_is_not_known_is_told(name: str, told: list[str]) -> None:
    assert list(slips({name: "s3cret"}, "REFLEX_", KNOWN, "reflex x")) == told
