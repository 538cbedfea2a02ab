from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from reflex_runner.connectors.so101 import SO101, SO101Settings
from reflex_runner.so101.errors import SO101Error
from reflex_runner.so101.places import Places
from reflex_runner.so101.resting import move_to
from support.servos.arms import calibrate, write_file
from support.servos.wires import WireLine

POSE = (0.0, -98.0, 94.0, 60.0, 0.0, 5.0)
SPEED = (30.0,) * 6


@pytest.fixture
def bench(tmp_path: Path) -> tuple[SO101, WireLine]:
    write_file(tmp_path)
    line = WireLine()
    calibrate(line.chain)
    arm = SO101(SO101Settings(), places=Places("wire", tmp_path), open_port=lambda _: line, clock=line)
    arm.start()
    return arm, line


def test_the_arm_arrives_and_no_axis_goes_faster_than_it_may(bench: tuple[SO101, WireLine]) -> None:
    arm, line = bench
    seen = [(line.now() - 1 / 30, arm.get_observation().state)]

    move_to(arm, POSE, SPEED, tell=lambda _: seen.append((line.now(), arm.get_observation().state)), clock=line)

    assert arm.get_observation().state.tolist() == pytest.approx(POSE, abs=3)
    fastest = max(float(np.abs(b - a).max()) / (then - now) for (now, a), (then, b) in pairwise(seen))
    assert 25 < fastest < 36
    assert 3.2 < line.now() < 3.6


def test_an_arm_that_is_there_already_is_there(bench: tuple[SO101, WireLine]) -> None:
    arm, line = bench

    move_to(arm, arm.get_observation().state.tolist(), SPEED, clock=line)

    assert line.now() < 1


def test_a_joint_that_does_not_follow_ends_in_a_hold_that_names_it(bench: tuple[SO101, WireLine]) -> None:
    arm, line = bench

    def block(share: float) -> None:
        if share > 0.3:
            line.chain.servo(2).write(48, b"\x00\x00")

    with pytest.raises(SO101Error, match="shoulder_lift does not follow: something is in its way"):
        move_to(arm, POSE, SPEED, tell=block, clock=line)
    held = [servo.present for servo in line.chain.servos]
    line.now_s += 5
    line.chain.settle()

    assert [servo.present for servo in line.chain.servos] == pytest.approx(held, abs=20)
    assert [servo.torque for servo in line.chain.servos] == [True] * 6


def test_ctrl_c_on_the_way_holds_the_arm(bench: tuple[SO101, WireLine]) -> None:
    arm, line = bench

    def interrupt(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move_to(arm, POSE, SPEED, tell=interrupt, clock=line)
    line.now_s += 5
    line.chain.settle()

    assert -60 < arm.get_observation().state[1] < -40
