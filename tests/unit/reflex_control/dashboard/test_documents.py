"""What somebody else wrote is read as far as a page can show it, and never fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reflex_control.dashboard.documents import FailedRule, Judged, facts_of, judged

RULE = {"id": "stats-open", "severity": "warning", "count": 2}


def test_a_verdict_has_counts_and_the_rules_that_failed() -> None:
    told = {"errors": 1, "warnings": 2, "episodes": 3, "frames": 4, "pictures": 5, "failed": [RULE]}
    assert judged(json.dumps(told)) == Judged(1, 2, 3, 4, (FailedRule("stats-open", "warning", 2),))


@pytest.mark.parametrize("told", [None, "", "null", "[]", '"text"', "{", "1", '{"errors": NaN}', '{"failed": {}}'])
def test_what_is_no_verdict_says_nothing(told: str | None) -> None:
    assert judged(told) == Judged()


@pytest.mark.parametrize("count", [True, -1, 1.5, "3", None, 2**60, [], {}])
def test_a_count_that_is_none_is_not_said(count: Any) -> None:
    told = {"episodes": count, "failed": [{**RULE, "count": count, "severity": count}, count]}
    assert judged(json.dumps(told)) == Judged(failed=(FailedRule("stats-open", "error", 0),))


def test_a_verdict_of_many_rules_is_cut() -> None:
    found = judged(json.dumps({"failed": [{**RULE, "id": "x" * 1_000}] * 1_000}))
    assert (len(found.failed), len(found.failed[0].id)) == (100, 200)


def test_facts_are_text_and_numbers_and_few() -> None:
    document = {
        "verdict": "passed",
        "cosine": 0.99999,
        "max": float("inf"),
        "nan": float("nan"),
        "large": 10**400,
        "deep": {"x": 1},
        "none": None,
        "is": True,
    }
    assert facts_of(document) == [("verdict", "passed"), ("cosine", "0.99999"), ("is", "yes")]
    assert len(facts_of({str(number): "x" * 1_000 for number in range(99)})) == 12
    assert facts_of([("a", "b")]) == facts_of(None) == []
