"""A policy fitted on a few demonstrations of the simulator, and demonstrations that it has not seen."""

from __future__ import annotations

import pytest

from support.datasets.drafts import Draft
from support.diagnosis.demonstrations import demonstrations
from support.diagnosis.fitted import Fitted, fit


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    return fit(demonstrations(range(1_000, 1_024)))


@pytest.fixture(scope="session")
def held_out() -> Draft:
    return demonstrations(range(6))
