from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from reflex.connector import CameraFrame
from reflex.errors import SetupError
from reflex_runner.config.strict import parse_section
from reflex_runner.simulation.faults import FaultInjector, Faults, Measured
from reflex_runner.simulation.world import World

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Stand:
    """As much of a world as faults look at."""

    def __init__(self) -> None:
        self.time_s, self.delay_s = 0.0, 0.0
        self.jammed: list[str] = []

    def jam(self, axis: str) -> None:
        self.jammed.append(axis)


def at(moment_s: float) -> World:
    return cast("World", SimpleNamespace(time_s=moment_s))


def frames(moment_s: float) -> dict[str, CameraFrame]:
    return {name: CameraFrame(PICTURE, moment_s) for name in ("front", "wrist")}


def reading(moment_s: float) -> Measured:
    return np.full(6, moment_s), moment_s


def test_without_faults_everything_passes_as_it_is() -> None:
    injector = FaultInjector(Faults(), seed=0)
    for moment_s in (0.0, 1.0, 2.0):
        assert injector.reading(reading(moment_s), at(moment_s))[1] == moment_s
        seen = injector.pictures(frames(moment_s), at(moment_s))
        assert [frame.captured_s for frame in seen.values()] == [moment_s] * 2


def test_a_frozen_camera_gives_its_last_picture_with_that_ones_moment() -> None:
    injector = FaultInjector(Faults(frozen_camera="wrist", after_s=1.5), seed=0)
    for moment_s in (0.0, 1.0, 2.0, 3.0):
        seen = injector.pictures(frames(moment_s), at(moment_s))
    assert {name: frame.captured_s for name, frame in seen.items()} == {"front": 3.0, "wrist": 1.0}


def test_a_camera_that_is_frozen_from_the_start_has_a_first_picture() -> None:
    injector = FaultInjector(Faults(frozen_camera="front"), seed=0)
    assert injector.pictures(frames(0.0), at(0.0))["front"].captured_s == 0.0
    assert injector.pictures(frames(1.0), at(1.0))["front"].captured_s == 0.0


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 200, 200), (0.3, 110, 170), (1.0, 1, 1)])
def test_a_dropped_reading_brings_the_one_before_with_its_moment(share: float, least: int, most: int) -> None:
    injector = FaultInjector(Faults(dropped_readings=share), seed=1)
    moments = [injector.reading(reading(float(n)), at(float(n)))[1] for n in range(200)]
    assert least <= len(set(moments)) <= most
    assert moments == sorted(moments)
    again = FaultInjector(Faults(dropped_readings=share), seed=1)
    assert [again.reading(reading(float(n)), at(float(n)))[1] for n in range(200)] == moments


def test_an_arm_jams_and_hears_late_from_its_moment_on() -> None:
    injector, stand = FaultInjector(Faults(jammed_axis="elbow_flex", delay_ms=80, after_s=2.0), seed=0), Stand()
    injector.act_on(cast("World", stand))
    assert (stand.jammed, stand.delay_s) == ([], 0.0)
    stand.time_s = 2.0
    injector.act_on(cast("World", stand))
    assert (stand.jammed, stand.delay_s) == (["elbow_flex"], 0.08)


def test_an_arm_trembles_otherwise_in_each_episode_and_the_same_for_the_same_seed() -> None:
    command = np.zeros(6, np.float32)
    heard = {}
    for seed in (1, 2, 3):
        injector, again = FaultInjector(Faults(tremble_units=3.0), seed), FaultInjector(Faults(tremble_units=3.0), 0)
        again.begin(seed)
        heard[seed] = np.stack([injector.heard(command, at(0.0)) for _ in range(400)])
        assert np.array_equal(heard[seed], np.stack([again.heard(command, at(0.0)) for _ in range(400)]))
        assert heard[seed].dtype == np.float32
    strengths = [float(each.std()) for each in heard.values()]
    assert max(strengths) < 3.3
    assert len({round(each, 1) for each in strengths}) == 3
    assert not command.any()


def test_a_steady_arm_hears_what_it_is_told_and_so_does_a_trembling_one_before_its_moment() -> None:
    command = np.arange(6, dtype=np.float32)
    assert FaultInjector(Faults(), seed=0).heard(command, at(9.0)) is command
    late = FaultInjector(Faults(tremble_units=3.0, after_s=2.0), seed=1)
    assert late.heard(command, at(1.0)) is command
    assert not np.array_equal(late.heard(command, at(2.0)), command)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"frozen_camera": "left"}, "hardware.faults.frozen_camera"),
        ({"dropped_readings": 1.5}, "hardware.faults.dropped_readings"),
        ({"jammed_axis": "elbow"}, "hardware.faults.jammed_axis"),
        ({"delay_ms": -1}, "hardware.faults.delay_ms"),
        ({"tremble_units": 11}, "hardware.faults.tremble_units"),
        ({"frozen_camra": "front"}, "did you mean 'frozen_camera'"),
    ],
)
def test_a_fault_that_is_none_is_refused_by_its_key(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        parse_section(Faults, given, "hardware.faults")
