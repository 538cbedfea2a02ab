"""How `make test` shares the tests among its workers.

The tests of one file run on one worker, so that what the file starts is started once. So do the tests of a folder
whose conftest starts servers for all its files. What starts servers goes first: it lasts longest.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["FileScheduling", "longest_first", "unit_of_work"]

SHARES_SERVERS: Final = ("tests/contract/", "tests/fuzz/")
QUICK: Final = "tests/unit/"


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's own scheduler with our units of work, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of_work(nodeid)


def unit_of_work(nodeid: str) -> str:
    """What runs on one worker, one test after the other: a file, or a folder that shares its servers."""
    shared = next((folder for folder in SHARES_SERVERS if nodeid.startswith(folder)), None)
    return shared or nodeid.partition("::")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """Sorts in place; among the long ones, and among the quick ones, the random order stays."""
    items.sort(key=lambda item: item.nodeid.startswith(QUICK))
