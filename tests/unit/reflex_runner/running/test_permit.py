"""Why a session lets nothing be applied is said in the words of the documents."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from reflex_runner.config.sections import Mode
from reflex_runner.running.permit import SessionPermit


@dataclass
class Standing:
    mode: Mode = "apply_actions"
    over: str | None = None
    session_id: str = "sess_1"


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(), None),
        (
            Standing("dry_run"),
            "Session is still in dry_run: promote it with 'reflex sessions promote sess_1 --to apply_actions'.",
        ),
        (
            Standing("dry_run", "it is closed: night"),
            "Session expired or already closed (it is closed: night). Start a fresh session.",
        ),
    ],
)
def test_it_says_why_nothing_may_be_applied(standing: Standing, said: str | None) -> None:
    assert SessionPermit(standing).refusal(0.0) == said
