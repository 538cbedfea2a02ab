"""A server may have as many connections as the system allows, not as many as a shell begins with."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from reflex.serving.descriptors import raise_descriptor_limit


@pytest.fixture
def hard() -> Iterator[int]:
    """The limit that nobody but root raises; the other one is as a shell has it, until the test is over."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_is_raised_as_far_as_it_may_be(hard: int) -> None:
    enough = 2_000 if hard == resource.RLIM_INFINITY else min(2_000, hard)

    assert raise_descriptor_limit(2_000) == enough
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (enough, hard)


@pytest.mark.usefixtures("hard")
def test_it_is_never_lowered() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert raise_descriptor_limit(16) == before[0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
