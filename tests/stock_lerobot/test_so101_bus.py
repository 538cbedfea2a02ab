"""LeRobot's own driver and ours on the same servos read the same values, and leave them with the same settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk
from reflex_runner.connectors.so101 import SO101, SO101Settings
from reflex_runner.so101 import frame, registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.line import open_line
from reflex_runner.so101.places import Places
from reflex_runner.so101.preparing import changes_wanted
from reflex_runner.so101.registers import IDS, Register
from stock_lerobot.stock import StockLeRobot
from support.servos.arms import calibrate, write_file
from support.servos.chain import Chain
from support.servos.wires import PtyBus, pty_bus
from support.skips import skip_for_want_of
from support.waiting import wait_until

ACTION = (10.0, -20.0, 30.0, 40.0, -50.0, 80.0)
BY_NAME = {value.name: value for value in vars(registers).values() if isinstance(value, Register)}


@dataclass(frozen=True)
class Driven:
    """What LeRobot read of an arm that it drove, and the arm as it left it."""

    unit: str
    told: dict[str, Any]
    servos: PtyBus
    calibrations: Path

    def ours(self) -> SO101:
        embodiment = "so101" if self.unit == "degrees" else "so101_percent"
        return SO101(SO101Settings(embodiment=embodiment), places=Places(self.servos.port, self.calibrations))


@pytest.fixture(scope="module", params=["degrees", "percent"])
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    python = os.environ.get("STOCK_LEROBOT_PYTHON")
    if python is None:
        skip_for_want_of("LeRobot")
    lerobot = StockLeRobot(Path(python), tmp_path_factory.mktemp("plugins"))
    folder = tmp_path_factory.mktemp("calibrations")
    file = write_file(folder)
    percent = ["--percent"] if request.param == "percent" else []
    with pty_bus(calibrate(Chain())) as servos:
        for servo, by in zip(servos.chain.servos, (-300, 250, -200, 150, 1700, -90), strict=True):
            servo.angle += by
        servos.chain.settle()
        printed = lerobot.run("so101_arm.py", servos.port, file.parent, *percent, cwd=folder)
        yield Driven(request.param, json.loads(printed.strip().splitlines()[-1]), servos, folder)


def test_both_see_the_arm_where_it_is_and_read_the_same_registers(driven: Driven) -> None:
    bus = Bus(open_line(driven.servos.port))
    try:
        read = {name: list(bus.values(BY_NAME[name]).values()) for name in driven.told["registers"]}
    finally:
        bus.close()
    arm = driven.ours()
    arm.start()
    state = arm.get_observation().state
    arm.stop()

    assert driven.told["is_calibrated"]
    assert read == driven.told["registers"]
    np.testing.assert_allclose(state, driven.told["after"], atol=1e-4)
    print(f"{driven.unit}: {len(read)} registers of 6 motors equal; state {state.tolist()}")


def test_lerobot_leaves_nothing_that_a_run_of_ours_would_set_otherwise(driven: Driven) -> None:
    bus = Bus(open_line(driven.servos.port))
    try:
        assert changes_wanted(bus) == []
    finally:
        bus.close()


def test_the_packets_are_the_same_to_the_byte(driven: Driven) -> None:
    goals = {id_: goal.to_bytes(2, "little") for id_, goal in zip(IDS, driven.told["goals"], strict=True)}

    for packet in (
        frame.sync_read(IDS, 56, 2),
        frame.sync_write(42, 2, goals),
        frame.ping(1),
        frame.read(3, 31, 2),
        frame.write(6, 16, (500).to_bytes(2, "little")),
    ):
        assert packet in driven.servos.chain.packets


def test_the_same_action_is_the_same_goal_but_for_the_step_that_lerobot_cuts_off(driven: Driven) -> None:
    arm = driven.ours()
    arm.start()
    arm.apply_action(ActionChunk(np.array([ACTION], np.float32), 1 / 30))
    arm.get_observation()  # the command before it has arrived
    goals = [servo.goal for servo in driven.servos.chain.servos]
    arm.release()
    arm.stop()

    differences = [mine - theirs for mine, theirs in zip(goals, driven.told["goals"], strict=True)]
    print(f"{driven.unit}: goals {goals}, LeRobot's {driven.told['goals']}")
    assert all(abs(difference) <= 1 for difference in differences)
    wait_until(lambda: not any(servo.torque for servo in driven.servos.chain.servos), "the torque is off")
