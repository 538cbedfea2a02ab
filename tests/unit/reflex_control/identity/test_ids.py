"""An id says what it is of, and tells nothing else."""

from __future__ import annotations

import re

from reflex_control.identity.ids import new_id


def test_an_id_names_its_kind_and_is_not_given_twice() -> None:
    ids = {new_id("robot") for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"robot_[0-9A-Za-z]{22}", identity) for identity in ids)
