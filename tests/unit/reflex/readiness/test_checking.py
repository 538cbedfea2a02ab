"""What a check says, and which of several findings counts."""

from __future__ import annotations

import itertools

from reflex.readiness.checking import Check, failed, passed, skipped, together, warned, worst


def test_the_worst_of_several_findings_counts_and_of_equals_the_first() -> None:
    ranked = [failed("x", "f", "fix"), warned("x", "w"), skipped("x", "s"), passed("x", "p")]
    for order in itertools.permutations(ranked):
        assert worst(order) is ranked[0]
        assert worst(check for check in order if check.status in ("pass", "skip")) is ranked[2]
    assert worst([failed("x", "first", ""), failed("x", "second", "")]).message == "first"


def test_what_is_wrong_in_several_places_is_told_of_each_once() -> None:
    d = failed("x", "d is not", "mend d")
    found = [passed("x", "a is"), failed("x", "b is not", "mend b"), warned("x", "c may"), d, d]
    assert together(found) == Check("x", "fail", "b is not; d is not", "mend b; mend d")
    assert together(found[:1] * 2) == Check("x", "pass", "a is", None)


def test_what_strangers_wrote_is_shown_harmless_and_with_an_end() -> None:
    shown = Check("x", "fail", "\x1b[2J\u202e" + "a" * 2_000, "do it").as_json()
    assert shown["message"].isprintable()
    assert shown["message"].startswith("\\x1b[2J\\u202e")
    assert len(shown["message"]) == 1_003
    assert (shown["id"], shown["status"], shown["fix"]) == ("x", "fail", "do it")
