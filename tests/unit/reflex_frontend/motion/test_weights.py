"""The weights are the recorded ones, bit for bit, and say nothing beyond their borders."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.motion.weights import given_weights, guidance_weights
from reflex_frontend.settings import RtcSchedule
from support.checkpoints.golden import golden_case, golden_cases

SCHEDULES: tuple[RtcSchedule, ...] = get_args(RtcSchedule)
RECORDED = [
    (name, case)
    for name in ("smolvla", "pi0", "pi05", "variants/smolvla_longest")
    for case in golden_cases(name)
    if case.startswith("case_rtc_")
]
steps = st.integers(0, 60)


@pytest.mark.parametrize(("name", "case"), RECORDED)
def test_they_are_the_references(name: str, case: str) -> None:
    recorded = golden_case(name, case)
    schedule: RtcSchedule = str(recorded["rtc.schedule"]).lower()  # type: ignore[assignment]  # one of them
    called = str(recorded["rtc.call_execution_horizon"])
    horizon = int(recorded["rtc.execution_horizon"]) if called == "none" else int(called)
    left = recorded["rtc.prev_chunk_left_over"].reshape(-1, recorded["rtc.prev_chunk_left_over"].shape[-1])
    weights = recorded["rtc.weights"]

    found = guidance_weights(schedule, weights.shape[1], int(recorded["rtc.inference_delay"]), min(horizon, len(left)))

    np.testing.assert_array_equal(found, weights[0])


def test_every_schedule_is_recorded() -> None:
    assert {str(golden_case(name, case)["rtc.schedule"]).lower() for name, case in RECORDED} == set(SCHEDULES)


@given(schedule=st.sampled_from(SCHEDULES), horizon=st.integers(1, 60), delay=steps, end=steps)
def test_what_is_executed_meanwhile_is_firm_what_is_beyond_is_free_and_between_they_fall(
    schedule: RtcSchedule, horizon: int, delay: int, end: int
) -> None:
    weights = guidance_weights(schedule, horizon, delay, end)
    last = min(end, horizon)
    firm = min(delay, last)

    assert weights.shape == (horizon,)
    assert weights.dtype == np.float32
    assert (weights[:firm] == 1).all()
    assert (weights[last:] == 0).all()
    assert (np.diff(weights) <= 0).all()
    between = weights[firm:last]
    if schedule in ("linear", "exp"):
        assert ((between > 0) & (between < 1)).all()
    else:
        assert (between == (schedule == "ones")).all()


def test_what_a_trained_policy_is_given_is_given_whole() -> None:
    assert given_weights(5, 2).tolist() == [1, 1, 0, 0, 0]
    assert given_weights(5, 0).tolist() == [0] * 5
