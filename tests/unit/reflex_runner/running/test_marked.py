"""A class with two marked methods is a robot; what it gives is an observation, or one sentence says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reflex
from reflex.connector import ActionChunk, CameraFrame, Observation
from reflex.errors import SetupError
from reflex_runner.errors import HardwareError
from reflex_runner.running.marked import MarkedConnector, refuse_unmarked


class Arm:
    embodiment = "so101"

    def __init__(self, given: Any = None) -> None:
        self.given, self.commands, self.told = given, [], []  # type: ignore[var-annotated]

    @reflex.observation
    def look(self) -> Any:
        return self.given

    @reflex.action
    def move(self, command: Any) -> None:
        self.commands.append(command)

    def safe_stop(self, reason: str) -> None:
        self.told.append(reason)


def test_its_methods_are_called_and_its_attributes_are_seen() -> None:
    arm = Arm()
    connector = MarkedConnector(arm)
    connector.start()
    connector.apply_action(ActionChunk(np.ones((2, 6), np.float32), 0.1))
    connector.safe_stop("night")
    connector.stop()
    assert (len(arm.commands), arm.told) == (2, ["night"])
    assert connector.embodiment == "so101"
    assert getattr(connector, "watch_handle", None) is None


def test_what_it_sees_becomes_an_observation() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    seen = MarkedConnector(
        Arm({"state": [1, 2], "images": {"front": picture, "wrist": CameraFrame(picture, 3.0)}, "instruction": "go",
             "captured_s": 5.0})
    ).get_observation()  # fmt: skip
    assert seen is not None
    assert (str(seen.state.dtype), seen.task, seen.captured_s) == ("float32", "go", 5.0)
    assert (seen.cameras["front"].captured_s, seen.cameras["wrist"].captured_s) == (5.0, 3.0)
    whole = Observation(np.zeros(1, np.float32))
    assert MarkedConnector(Arm(whole)).get_observation() is whole
    assert MarkedConnector(Arm(None)).get_observation() is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 2], "is a dict with state"),
        ({"images": {}}, "is a dict with state"),
        ({"state": [1], "pictures": {}}, "is a dict with state"),
        ({"state": "left"}, "is a row of numbers"),
    ],
)
def test_what_is_no_observation_is_said(given: Any, said: str) -> None:
    with pytest.raises(HardwareError, match=said):
        MarkedConnector(Arm(given)).get_observation()


def test_a_class_needs_one_method_of_each_kind_and_none_called_run() -> None:
    refuse_unmarked(Arm)
    with pytest.raises(SetupError, match=r"Two needs one method that is marked @reflex\.action, and has move and push"):
        refuse_unmarked(type("Two", (Arm,), {"push": reflex.action(lambda _self, _command: None)}))
    with pytest.raises(SetupError, match=r"Blind needs one method that is marked @reflex\.observation, and has none"):
        refuse_unmarked(type("Blind", (), {"move": Arm.move}))
    with pytest.raises(SetupError, match="has a method run already"):
        refuse_unmarked(type("Runs", (Arm,), {"run": lambda _self: None}))
