"""The key that signs lies in the store, and its successor leaves it time."""

from __future__ import annotations

from reflex_control.plane import Plane
from reflex_control.signing_keys import OVERLAP_MS, active_key, derived_secrets, keyset, rotate_signing_key


def test_the_first_key_is_made_once(plane: Plane) -> None:
    with plane.database.writing() as connection:
        first = active_key(connection)
    with plane.database.writing() as connection:
        assert active_key(connection) == first
        assert list(keyset(connection).keys) == [first.kid]


def test_a_new_key_signs_and_the_old_one_ends_after_the_overlap(plane: Plane) -> None:
    with plane.database.writing() as connection:
        old = active_key(connection)
        new, _ = rotate_signing_key(connection, plane.clock())

        assert active_key(connection) == new
        keys = keyset(connection)

    message, end = b"message", plane.clock() + OVERLAP_MS
    assert keys.verify(old.kid, message, old.sign(message), at_ms=end)
    assert not keys.verify(old.kid, message, old.sign(message), at_ms=end + 1)
    assert keys.verify(new.kid, message, new.sign(message), at_ms=end + 1)


def test_secrets_for_other_purposes_differ_from_each_other_and_end_with_their_key(plane: Plane) -> None:
    with plane.database.writing() as connection:
        assert derived_secrets(connection, "a", plane.clock()) == []
        key = active_key(connection)
        old = derived_secrets(connection, "a", plane.clock())
        assert derived_secrets(connection, "b", plane.clock()) != old != [key.seed]
        rotate_signing_key(connection, plane.clock())
        both = derived_secrets(connection, "a", plane.clock())
        after = derived_secrets(connection, "a", plane.clock() + OVERLAP_MS)

    assert len(old) == 1
    assert both == [both[0], *old]
    assert after == both[:1]
