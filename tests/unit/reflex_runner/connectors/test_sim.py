from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk, Connector
from reflex.embodiments import load_embodiment
from reflex.errors import SetupError
from reflex.guard import ActionGuard
from reflex_runner.connectors.build import build_connector
from reflex_runner.connectors.sim import SimConnector, build
from reflex_runner.errors import RunnerError
from support.outside.drawing import skip_without_pictures
from support.waiting import wait_until

PERIOD_S = 1 / 30


@pytest.fixture(scope="module", autouse=True)
def pictures() -> None:
    skip_without_pictures()


def sim(**settings: Any) -> SimConnector:
    connector = build({"width": 32, "height": 24, **settings})
    assert isinstance(connector, SimConnector)
    return connector


def test_it_is_built_by_its_kind_and_is_a_connector_of_its_embodiment() -> None:
    connector = build_connector("sim", {"seed": 3})
    assert isinstance(connector, Connector)
    assert isinstance(connector, SimConnector)
    embodiment = load_embodiment(connector.embodiment)
    assert embodiment.simulation
    assert connector.units == embodiment.state_units
    assert (connector.settings.seed, connector.settings.width, connector.settings.realtime) == (3, 96, True)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"sede": 1}, "hardware: no setting is called 'sede'; did you mean 'seed'"),
        ({"seed": -1}, "hardware.seed"),
        ({"seed": "1"}, "hardware.seed"),
        ({"width": 8}, "hardware.width"),
        ({"wanted": "blue"}, "hardware.wanted"),
        ({"height": 5000}, "hardware.height"),
        ({"realtime": "yes"}, "hardware.realtime"),
        ({"faults": {"jammed_axis": "elbow"}}, "hardware.faults.jammed_axis"),
        ({"faults": {"jamed_axis": "gripper"}}, "hardware.faults: no setting is called 'jamed_axis'"),
        ({"faults": "all"}, "hardware.faults"),
        ({"cameras": {"image": "top"}}, "hardware.cameras.image"),
        ({"cameras": {}}, "hardware.cameras"),
        ({"cameras": ["front"]}, "hardware.cameras"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_its_key(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        build(given)


@pytest.mark.slow
def test_what_it_observes_has_both_cameras_a_state_and_their_moments() -> None:
    connector = sim()
    connector.start()
    try:
        observation = connector.get_observation()
        assert set(observation.cameras) == {"front", "wrist"}
        assert {np.asarray(frame.image).shape for frame in observation.cameras.values()} == {(24, 32, 3)}
        assert observation.state.shape == (6,)
        assert observation.state.dtype == np.float32
        wait_until(lambda: connector.get_observation().captured_s > observation.captured_s, "a newer state")
        connector.apply_action(ActionChunk((observation.state + 6)[None], PERIOD_S))
        wait_until(
            lambda: np.abs(connector.get_observation().state - observation.state - 6).max() < 0.5, "the arm moves"
        )
        assert set(connector.frames()) == {"front", "wrist"}
        connector.safe_stop("enough")
    finally:
        connector.stop()


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [None, "red", "green"])
def test_the_expert_picks_the_cube_up_through_guard_and_connector(wanted: str | None) -> None:
    connector = sim(realtime=False, seed=5, wanted=wanted)
    connector.start()
    try:
        expert, guard = connector.expert(), ActionGuard(load_embodiment(connector.embodiment))
        previous = connector.get_observation().state
        for step in range(200):
            chunk = expert.ask(step, connector.get_observation(), executed_steps=None)
            checked = guard.check(chunk.actions[:1], previous=previous)
            previous = checked.actions[0]
            connector.apply_action(ActionChunk(checked.actions, chunk.step_s))
            if connector.has_lifted:
                break
    finally:
        connector.stop()
    assert connector.has_lifted
    assert step < 120


@pytest.mark.slow
def test_the_same_seed_is_the_same_episode_and_another_is_another() -> None:
    ends = []
    for seed in (2, 2, 4):
        connector = sim(realtime=False, seed=seed)
        connector.start()
        state = connector.get_observation().state
        connector.apply_action(ActionChunk(state + np.linspace(0, 8, 5)[:, None].astype(np.float32), PERIOD_S))
        ends.append(connector.get_observation())
        connector.stop()
    np.testing.assert_array_equal(ends[0].state, ends[1].state)
    np.testing.assert_array_equal(ends[0].cameras["front"].image, ends[1].cameras["front"].image)
    assert not np.array_equal(ends[0].state, ends[2].state)


def test_a_stepped_arm_is_reset_in_place_and_knows_whether_it_has_succeeded() -> None:
    connector, fresh = sim(realtime=False, seed=3), sim(realtime=False, seed=8)
    for each in (connector, fresh):
        each.start()
    try:
        assert connector.is_stepped
        assert connector.succeeded is False
        connector.apply_action(ActionChunk(np.zeros((3, 6), np.float32), PERIOD_S))
        connector.reset(8)
        again, first = connector.get_observation(), fresh.get_observation()
        np.testing.assert_array_equal(again.state, first.state)
        np.testing.assert_array_equal(again.cameras["front"].image, first.cameras["front"].image)
    finally:
        connector.stop()
        fresh.stop()


def test_an_arm_in_real_time_begins_with_its_next_start_from_the_new_seed() -> None:
    connector = sim(own_process=False)
    connector.reset(8)
    assert (connector.settings.seed, connector.is_stepped, connector.succeeded) == (8, False, False)


@pytest.mark.slow
def test_before_the_start_nothing_is_there_and_stopping_is_always_allowed() -> None:
    connector, threads = sim(), set(threading.enumerate())
    connector.stop()
    connector.safe_stop()
    assert connector.frames() == {}
    with pytest.raises(RunnerError, match="not started"):
        connector.get_observation()
    connector.start()
    connector.stop()
    connector.stop()
    connector.safe_stop("after the end")
    assert set(threading.enumerate()) == threads
    with pytest.raises(RunnerError, match="not started"):
        connector.apply_action(ActionChunk(np.zeros((1, 6), np.float32), PERIOD_S))


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"realtime": False}, {"own_process": True}])
def test_its_cameras_are_called_as_the_policy_calls_them_and_no_other_is_drawn(given: dict[str, Any]) -> None:
    plain, named = sim(realtime=False, seed=4), sim(seed=4, cameras={"image": "wrist"}, **given)
    assert (named.camera_names, plain.camera_names) == (("image",), ("front", "wrist"))
    plain.start()
    named.start()
    try:
        picture = named.get_observation().cameras
        assert set(picture) == set(named.frames()) == {"image"}
        np.testing.assert_array_equal(picture["image"].image, plain.get_observation().cameras["wrist"].image)
    finally:
        plain.stop()
        named.stop()
