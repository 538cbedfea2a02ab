"""Every transport on a real server: the same observation has the same chunk, in the same episode."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from reflex.errors import InvalidRequestError, ReflexError
from reflex_runner.transports.build import build_transport
from reflex_runner.transports.transport import Transport
from support.hostile_served import Served
from support.runner.asked import observation, target


@pytest.fixture(params=["act", "edge", "stream", "openpi"])
def transport(demo: Served, request: pytest.FixtureRequest) -> Iterator[Transport]:
    made = build_transport(request.param, target(demo.process.base_url), instruction="pick up the red cup")
    made.open()
    yield made
    made.close()


def test_a_chunk_of_the_policy_comes_at_the_rate_of_its_robot(transport: Transport) -> None:
    for seq in range(3):
        dated = transport.ask(seq, observation(float(seq)), executed_steps=None)
        assert (dated.seq, dated.captured_s) == (seq, float(seq))
        assert dated.actions.shape == (50, 7)
        assert dated.step_s == pytest.approx(1 / transport.control_hz)
        assert dated.answer["robot_id"] == "arm-7"


def test_a_state_of_another_robot_is_refused_and_the_next_observation_is_answered(transport: Transport) -> None:
    with pytest.raises(InvalidRequestError, match="state_dim_mismatch") as refused:
        transport.ask(0, observation(state=np.zeros(5, np.float32)), executed_steps=None)
    assert refused.value.status == 422
    assert transport.ask(1, observation(), executed_steps=None).seq == 1


@pytest.mark.slow
def test_a_camera_that_the_policy_has_not_is_refused(transport: Transport) -> None:
    picture = observation().cameras["image"]
    with pytest.raises(ReflexError, match="camera"):
        transport.ask(0, observation(cameras={"left": picture, "right": picture}), executed_steps=None)
