"""How `make test` shares the tests among its workers.

The tests of one file run on one worker, so that what the file starts is started once. So do the tests of a folder
whose conftest starts servers for all its files, but for those that have a control plane of their own; such a folder
lasts longest and goes first. What starts servers goes
before what does not, and what computes graphs before the rest: nothing long begins when the others are nearly done.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["FileScheduling", "longest_first", "unit_of_work"]

SHARES_SERVERS: Final = ("tests/contract/", "tests/fuzz/")
OF_THEIR_OWN: Final = "test_control_"
COMPUTES: Final = "tests/unit/reflex_export/"
QUICK: Final = "tests/unit/"


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's own scheduler with our units of work, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of_work(nodeid)


def unit_of_work(nodeid: str) -> str:
    """What runs on one worker, one test after the other: a file, or a folder that shares its servers."""
    folder, _, file = nodeid.partition("::")[0].rpartition("/")
    shares = f"{folder}/" in SHARES_SERVERS and not file.startswith(OF_THEIR_OWN)
    return f"{folder}/" if shares else f"{folder}/{file}"


def longest_first(items: list[pytest.Item]) -> None:
    """Sorts in place; among those that last equally long the random order stays."""
    items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    if unit_of_work(nodeid) in SHARES_SERVERS:
        return 0
    if not nodeid.startswith(QUICK):
        return 1
    return 2 if nodeid.startswith(COMPUTES) else 3
