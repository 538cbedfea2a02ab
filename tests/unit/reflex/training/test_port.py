"""A lost lease is an error of the HTTP contract like any other."""

from __future__ import annotations

import copy

from reflex.errors import InvalidRequestError
from reflex.training.port import LeaseLostError, lease_lost


def test_a_lost_lease_says_which_run_and_what_to_do() -> None:
    error = lease_lost("run_1")
    assert isinstance(error, InvalidRequestError)
    assert (error.code, error.status, error.context) == ("lease_lost", 409, {"runId": "run_1"})
    assert "claim another" in str(error)


def test_it_goes_from_one_process_to_another() -> None:
    assert isinstance(copy.copy(lease_lost("run_1")), LeaseLostError)
