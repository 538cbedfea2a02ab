"""A policy that was fitted on demonstrations, and the one that ships, served by the real server and diagnosed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.datasets.drafts import Draft
from support.diagnosis import shipped_faults
from support.diagnosis.demonstrations import demonstrations
from support.diagnosis.diagnosed import diagnosed, diagnosed_shipped, is_named
from support.diagnosis.faults import FAULTS, Setup
from support.diagnosis.fitted import fit
from support.diagnosis.shipped import Shipped, recorded, serving

BY_NAME = {fault.name: fault for fault in (*shipped_faults.FAULTS, *shipped_faults.HEALTHY)}


@pytest.mark.slow
def test_a_served_policy_that_gets_its_pictures_in_other_colours_is_told_so(tmp_path: Path) -> None:
    setup = Setup(demonstrations(range(6)), fit(demonstrations(range(1_000, 1_024))))

    found = diagnosed(FAULTS[0], setup, tmp_path, served=True)

    assert [finding.kind for finding in found.findings] == ["colours"]
    assert found.policy == "fitted"
    assert found.latency_ms


@pytest.fixture(scope="module")
def demonstrated() -> Draft:
    return recorded()


@pytest.fixture(scope="module")
def url(demonstrated: Draft, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(Shipped(demonstrated), tmp_path_factory.mktemp("shipped")) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pictures a quarter turned", "state in radians", "recorded as the policy was trained"]
)
def test_faults_of_the_shipped_policys_deployment_are_named_and_a_healthy_one_raises_no_alarm(
    name: str, demonstrated: Draft, url: str, tmp_path: Path
) -> None:
    fault = BY_NAME[name]

    found = diagnosed_shipped(fault, Shipped(copy.deepcopy(demonstrated)), tmp_path, url)

    assert is_named(fault, found), [finding.line for finding in found.findings]
    assert found.policy == "pick_up_the_cube"
    assert found.is_healthy == (not fault.named)
