"""A connector is any class with its five methods; nothing has to be inherited."""

from __future__ import annotations

import numpy as np

from reflex.connector.contract import ActionChunk, Connector, Observation


class Arm:
    def start(self) -> None: ...

    def get_observation(self) -> Observation:
        return Observation(np.zeros(6, np.float32))

    def apply_action(self, chunk: ActionChunk) -> None: ...

    def safe_stop(self, reason: str = "") -> None: ...

    def stop(self) -> None: ...


class Half:
    def start(self) -> None: ...


def test_any_class_with_the_five_methods_is_a_connector() -> None:
    arm: Connector = Arm()
    assert isinstance(arm, Connector)
    assert not isinstance(Half(), Connector)


def test_an_observation_is_dated_when_it_is_made() -> None:
    first, second = Arm().get_observation(), Arm().get_observation()
    assert first.captured_s <= second.captured_s
    assert first.cameras == {}
