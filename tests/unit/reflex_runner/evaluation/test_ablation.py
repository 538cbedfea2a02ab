"""What is taken from a policy is one thing, and everything else of the observation stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reflex.connector import CameraFrame, Observation
from reflex.errors import SetupError
from reflex_runner.evaluation.ablation import Ablation, Altered, parse_ablation

HERE = Observation(
    np.arange(6, dtype=np.float32), {"front": CameraFrame(np.full((8, 9, 3), 7, np.uint8), 1.0)}, captured_s=2.0
)
THERE = Observation(np.ones(6, np.float32), {"front": CameraFrame(np.full((8, 9, 3), 200, np.uint8), 5.0)})


def altered(told: str, other: Observation | None = None) -> Observation:
    return parse_ablation(told).altering(other)(HERE)


def image_of(observation: Observation) -> Any:
    return observation.cameras["front"].image


def test_without_its_picture_a_policy_gets_a_black_one_of_the_same_size_and_moment() -> None:
    found = altered("image")
    assert image_of(found).shape == (8, 9, 3)
    assert image_of(found).max() == 0
    assert (found.cameras["front"].captured_s, found.captured_s) == (1.0, 2.0)
    assert found.state is HERE.state
    assert image_of(HERE).max() == 7, "the robot's own is left as it is"


def test_without_its_state_it_gets_zeros() -> None:
    found = altered("state")
    assert found.state.tolist() == [0.0] * 6
    assert found.cameras is HERE.cameras


def test_by_another_episode_it_gets_what_that_one_began_with() -> None:
    assert image_of(altered("image=other", THERE)).max() == 200
    assert altered("image=other", THERE).captured_s == 2.0
    assert altered("state=other", THERE).state is THERE.state


def test_an_instruction_is_empty_or_another() -> None:
    assert altered("instruction").task == ""
    assert altered("instruction=pick up the green cube").task == "pick up the green cube"
    assert parse_ablation("instruction=other").needs_another is False


@pytest.mark.parametrize("told", ["", "pictures", "image=white", "state=1", "other"])
def test_what_takes_nothing_away_is_refused_with_what_does(told: str) -> None:
    with pytest.raises(SetupError, match="image=other, state"):
        parse_ablation(told)


def test_it_is_called_as_it_was_asked_for() -> None:
    assert [str(parse_ablation(each)) for each in ("image", "state=other", "instruction=x")] == [
        "image", "state=other", "instruction=x",
    ]  # fmt: skip


def test_a_transport_asks_for_the_altered_one_and_is_else_as_it_was() -> None:
    class Inner:
        control_hz = 30.0

        def __init__(self) -> None:
            self.told: list[Any] = []

        def open(self) -> None:
            self.told.append("open")

        def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> Any:
            self.told.append((seq, observation.state.tolist(), executed_steps))
            return "chunk"

        def close(self) -> None:
            self.told.append("close")

    inner = Inner()
    transport = Altered(inner, Ablation("state").altering(None))
    transport.open()
    asked: Any = transport.ask(4, HERE, executed_steps=2)
    assert asked == "chunk"
    transport.close()
    assert inner.told == ["open", (4, [0.0] * 6, 2), "close"]
    assert transport.control_hz == 30.0
