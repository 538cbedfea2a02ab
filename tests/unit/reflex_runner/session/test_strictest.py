"""A robot moves only where everybody who has a say lets it."""

from __future__ import annotations

import pytest

from reflex_runner.config.sections import Mode
from reflex_runner.session.strictest import strictest


@pytest.mark.parametrize(
    ("modes", "strict"),
    [
        ((), "dry_run"),
        ((None,), "dry_run"),
        (("apply_actions",), "apply_actions"),
        (("apply_actions", None), "apply_actions"),
        (("apply_actions", "apply_actions"), "apply_actions"),
        (("apply_actions", "dry_run"), "dry_run"),
        (("dry_run", "apply_actions", None), "dry_run"),
    ],
)
def test_the_strictest_counts(modes: tuple[Mode | None, ...], strict: Mode) -> None:
    assert strictest(*modes) == strict
