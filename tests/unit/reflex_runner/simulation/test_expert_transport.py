from __future__ import annotations

import numpy as np

from reflex.connector import Observation
from reflex_runner.simulation.expert import Sight, chunk_of
from reflex_runner.simulation.expert_transport import ExpertTransport
from reflex_runner.simulation.start import draw_start

POSE = draw_start(0).pose.astype(np.float32)
SIGHT = Sight(np.array([0.2, 0.0, 0.0125]), is_held=False)


class Later:
    def now(self) -> float:
        return 12.5

    def sleep_until(self, moment: float) -> None:
        raise AssertionError(f"the expert waits for nobody, not until {moment}")


def test_the_expert_answers_like_a_server_with_the_chunk_of_that_state() -> None:
    transport = ExpertTransport(lambda: SIGHT, Later())
    transport.open()
    chunk = transport.ask(7, Observation(POSE, captured_s=12.0), executed_steps=3)
    transport.close()
    assert (chunk.seq, chunk.captured_s, chunk.received_s, chunk.step_s) == (7, 12.0, 12.5, 1 / 30)
    assert transport.control_hz == 30
    np.testing.assert_array_equal(chunk.actions, chunk_of(POSE, SIGHT))
    assert chunk.answer["policy_id"] == "expert"


def test_it_looks_where_the_cube_is_at_each_question() -> None:
    places = iter([SIGHT, Sight(np.array([0.15, 0.1, 0.0125]), is_held=False)])
    transport = ExpertTransport(lambda: next(places))
    one, two = (transport.ask(n, Observation(POSE), executed_steps=None) for n in range(2))
    assert not np.array_equal(one.actions, two.actions)
