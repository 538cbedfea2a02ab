"""A method is marked, and stays the method that it was."""

from __future__ import annotations

import reflex
from reflex.connector.roles import role_of


def look() -> int:
    return 1


def test_a_marked_method_is_known_by_its_role_and_works_as_before() -> None:
    assert role_of(look) is None
    assert reflex.observation(look) is look
    assert (role_of(look), look()) == ("observation", 1)
    assert role_of(reflex.action(lambda command: command)) == "action"
