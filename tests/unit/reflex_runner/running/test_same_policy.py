"""A server that serves another policy than the one that was held against the robot is followed no further."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reflex.connector import Observation
from reflex.embodiments import load_embodiment
from reflex.errors import SetupError
from reflex_runner.preflight.served import Served, ServedPolicy
from reflex_runner.running.same_policy import same_policy
from reflex_runner.tick import DatedChunk
from support.runner.arms import pose
from support.runner.session import Policy


class Server(Policy):
    says: object = "pick@0123456789ab"

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        chunk = super().ask(seq, observation, executed_steps=executed_steps)
        return replace(chunk, answer={} if self.says is None else {"model_version": self.says})


def served(*names: str) -> Served:
    robot = load_embodiment("so101")
    each = tuple(ServedPolicy(name, robot, {}, takes_instruction=False, is_trained=True, oddities=()) for name in names)
    return Served("http://here", "ok", each)


@pytest.mark.parametrize("says", ["pick@0123456789ab", "pick@ba9876543210", "pick", "place@ab", None, 3])
def test_the_policies_of_the_start_are_followed_in_any_version(says: object) -> None:
    server = Server()
    server.says = says
    transport = same_policy(server, served("pick", "place"))
    transport.open()
    assert transport.ask(4, Observation(pose(1, 2)), executed_steps=2).seq == 4
    assert (server.asked[0][1], transport.control_hz) == (2, 30.0)
    transport.close()
    assert not server.is_open


@pytest.mark.parametrize("says", ["picker@0123456789ab", "other", "", "@ab", "pick@x@y"])
def test_another_one_ends_the_run(says: str) -> None:
    server = Server()
    server.says = says
    with pytest.raises(SetupError, match="this run was begun with pick: begin a new run"):
        same_policy(server, served("pick")).ask(0, Observation(pose(1, 2)), executed_steps=None)


@pytest.mark.parametrize("known", [None, served()])
def test_where_nobody_knows_what_is_served_nothing_is_compared(known: Served | None) -> None:
    server = Server()
    assert same_policy(server, known) is server
