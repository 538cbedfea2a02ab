from __future__ import annotations

from collections.abc import Callable

import pytest

from reflex_runner.so101 import registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.calibrating import Ranges, calibration_of, find_middle, keep, watch_ranges
from reflex_runner.so101.calibration import Calibration
from reflex_runner.so101.errors import BusError, CalibrationError
from reflex_runner.so101.registers import IDS
from support.servos.arms import calibrate
from support.servos.wires import WireLine

MIDDLES = (2100, 4000, 30, 1000, 2048, 3000)
"""Of the encoders: two of them near their seam."""
ENDS = ((-1000, 1100), (-900, 950), (-1200, 800), (-1100, 1100), (0, 0), (-400, 600))


class ByHand:
    """An arm that somebody moves through its ranges."""

    def __init__(self, offset_before: int = 0) -> None:
        self.line = WireLine()
        calibrate(self.line.chain)
        for servo in self.line.chain.servos:
            servo.calibrate(offset_before, 0, 4095)
        self.bus = Bus(self.line, clock=self.line)
        self.put((0,) * 6)
        self._turns = iter([*zip(*ENDS, strict=True), (0,) * 6])

    def put(self, away: tuple[int, ...]) -> None:
        for servo, middle, by in zip(self.line.chain.servos, MIDDLES, away, strict=True):
            servo.angle = float((middle + by) % 4096)
            servo._show()

    def is_done(self) -> bool:
        away = next(self._turns, None)
        if away is not None:
            self.put(away)
        return away is None

    def calibration(self, tell: Callable[[Ranges], object] = lambda _: None) -> Calibration:
        zeros = find_middle(self.bus)
        return calibration_of(zeros, watch_ranges(self.bus, zeros, self.is_done, tell, self.line))


@pytest.mark.parametrize("offset_before", [0, 700, -2047])
def test_the_middle_becomes_half_a_turn_and_the_ends_lie_round_it(offset_before: int) -> None:
    arm = ByHand(offset_before)

    joints = arm.calibration().joints

    assert [joint.homing_offset for joint in joints] == [53, 1953, -2017, -1047, 1, 953]
    expected = [(2047 + low, 2047 + high) for low, high in ENDS]
    expected[4] = (0, 4095)
    assert [(joint.range_min, joint.range_max) for joint in joints] == expected
    assert all(not servo.written for servo in arm.line.chain.servos)


def test_it_is_kept_for_good_and_the_servos_then_say_what_it_says() -> None:
    arm = ByHand(offset_before=700)
    calibration = arm.calibration()

    keep(arm.bus, calibration)
    for servo in arm.line.chain.servos:
        servo.switch_off_and_on()

    assert arm.bus.values(registers.HOMING_OFFSET) == {joint.id: joint.homing_offset for joint in calibration.joints}
    assert arm.bus.values(registers.MAX_POSITION_LIMIT) == {joint.id: joint.range_max for joint in calibration.joints}
    assert arm.bus.values(registers.PRESENT_POSITION) == dict.fromkeys(IDS, 2047)


def test_progress_is_told_and_an_instant_of_silence_is_waited_through() -> None:
    arm, told = ByHand(), list[Ranges]()

    def tell(ranges: Ranges) -> None:
        told.append(ranges)
        arm.line.chain.servo(2).is_powered = len(told) != 1

    arm.calibration(tell)

    assert [(ranges.low[1], ranges.position[1]) for ranges in told] == [(1047, 1047), (1047, 1047), (1047, 2047)]


def test_a_motor_that_stays_silent_ends_it() -> None:
    arm = ByHand()
    zeros = find_middle(arm.bus)
    arm.line.chain.unplug(6)

    with pytest.raises(BusError, match=r"motor 6 \(gripper\)"):
        watch_ranges(arm.bus, zeros, lambda: False, lambda _: None, arm.line)


@pytest.mark.parametrize(
    ("ends", "words"),
    [((-100, 100), "elbow_flex was moved by 200 steps only"), ((-2000, 2000), "elbow_flex .* across the seam")],
)
def test_a_joint_that_was_forgotten_or_turned_too_far_is_named(ends: tuple[int, int], words: str) -> None:
    arm = ByHand()
    zeros = find_middle(arm.bus)
    low = dict.fromkeys(IDS, 1000) | {3: 2047 + ends[0]}
    high = dict.fromkeys(IDS, 3000) | {3: 2047 + ends[1]}

    with pytest.raises(CalibrationError, match=words):
        calibration_of(zeros, Ranges(low, low, high))


def test_a_servo_that_keeps_nothing_is_named() -> None:
    arm = ByHand()
    calibration = arm.calibration()
    arm.line.chain.servo(3).ignores_writes = True

    with pytest.raises(CalibrationError, match="elbow_flex does not keep its calibration"):
        keep(arm.bus, calibration)


def test_a_middle_on_the_one_step_that_no_offset_reaches_is_said_as_the_servo_will_say_it() -> None:
    arm = ByHand(offset_before=700)
    servo = arm.line.chain.servo(1)
    servo.angle = 4095.0
    servo._show()
    said = arm.bus.values(registers.PRESENT_POSITION)[1]
    zero = find_middle(arm.bus)[1]
    assert zero.offset == 2047

    servo.calibrate(zero.offset, 0, 4095)
    servo._show()

    assert arm.bus.values(registers.PRESENT_POSITION)[1] == zero.position(said) == 2048
