"""A slip of the pen is answered with the name that was meant."""

from __future__ import annotations

from reflex_runner.connectors.nearest import nearest


def test_a_name_like_a_known_one_is_taken_for_it_and_any_other_answered_with_all() -> None:
    assert nearest("prot", ["port", "id"]) == "; did you mean 'port'?"
    assert nearest("zzz", ["port", "id"], "; it knows port, id") == "; it knows port, id"
    assert nearest("zzz", []) == ""
