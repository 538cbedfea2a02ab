"""Nobody holds up another organisation, and all of them together not the server."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from reflex.errors import ServiceError
from reflex_control.places import Places


def test_one_organisation_has_some_and_all_together_have_some_more() -> None:
    places = Places(3, 2, "busy")
    with ExitStack() as held:
        for organisation_id in ("a", "a", "b"):
            held.enter_context(places.taken(organisation_id))
        for organisation_id in ("a", "b", "c"):
            with pytest.raises(ServiceError) as refused, places.taken(organisation_id):
                raise AssertionError
            assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", 2.0)
    with places.taken("a"), places.taken("a"), places.taken("c"):
        pass


def test_a_place_that_is_left_is_one_and_the_others_are_still_taken() -> None:
    places = Places(5, 3, "busy")
    with places.taken("a"), places.taken("a"):
        for _ in range(3):
            with places.taken("a"), pytest.raises(ServiceError), places.taken("a"):
                raise AssertionError


def test_whoever_has_its_share_holds_up_no_other() -> None:
    places = Places(3, 1, "busy")
    with places.taken("a"):
        with pytest.raises(ServiceError), places.taken("a"):
            raise AssertionError
        with places.taken("b"):
            pass


def test_a_place_is_free_again_whatever_happened_in_it() -> None:
    places = Places(1, 1, "busy")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.taken("a"):
            raise ZeroDivisionError
    assert not places._taken
