"""A policy that was fitted on demonstrations, served by the real server, and diagnosed over HTTP."""

from __future__ import annotations

from pathlib import Path

from support.diagnosis.demonstrations import demonstrations
from support.diagnosis.diagnosed import diagnosed
from support.diagnosis.faults import FAULTS, Setup
from support.diagnosis.fitted import fit


def test_a_served_policy_that_gets_its_pictures_in_other_colours_is_told_so(tmp_path: Path) -> None:
    setup = Setup(demonstrations(range(6)), fit(demonstrations(range(1_000, 1_024))))

    found = diagnosed(FAULTS[0], setup, tmp_path, served=True)

    assert [finding.kind for finding in found.findings] == ["colours"]
    assert found.policy == "fitted"
    assert found.latency_ms
