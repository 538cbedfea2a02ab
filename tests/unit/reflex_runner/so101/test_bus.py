from __future__ import annotations

import pytest

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import BusError, ServoError
from reflex_runner.so101.registers import GOAL_POSITION, IDS, PRESENT_POSITION, TORQUE_ENABLE
from support.servos.servo import Servo
from support.servos.wires import WireLine


def bus_on(line: WireLine, retries: int = 3) -> Bus:
    return Bus(line, clock=line, retries=retries)


def line_at(*angles: int) -> WireLine:
    line = WireLine()
    for servo, angle in zip(line.chain.servos, angles, strict=True):
        servo.angle = float(angle)
    line.chain.settle()
    return line


def read_from(bus: Bus) -> dict[int, int] | BusError:
    try:
        return bus.values(PRESENT_POSITION)
    except BusError as error:
        return error


ANGLES = (100, 2047, 4095, 0, 1, 3000)
RIGHT = dict(zip(IDS, ANGLES, strict=True))


def test_values_are_read_and_written_one_by_one_and_all_at_once() -> None:
    line = line_at(*ANGLES)
    bus = bus_on(line)

    bus.write(3, GOAL_POSITION, -7)
    bus.write_all(TORQUE_ENABLE, {1: 1, 2: 0, 6: 1})

    assert bus.values(PRESENT_POSITION) == RIGHT
    assert [bus.read(id_, PRESENT_POSITION) for id_ in IDS] == list(ANGLES)
    assert line.chain.servo(3).goal == -7
    assert [servo.torque for servo in line.chain.servos] == [True, False, False, False, False, True]
    assert bus.present() == IDS


def test_a_position_below_zero_is_read_as_one() -> None:
    line = line_at(*ANGLES)
    line.chain.servo(4).memory[18] |= 0x10  # counts beyond a turn
    line.chain.servo(4).calibrate(offset=5, low=0, high=4095)

    assert bus_on(line).values(PRESENT_POSITION)[4] == -5


@pytest.mark.slow
@pytest.mark.parametrize("loss_percent", [1, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_with_lost_packets_every_read_is_right_or_says_who_was_silent(loss_percent: int, seed: int) -> None:
    line = line_at(*ANGLES)
    line.chain.faults.loss_percent = loss_percent
    line.chain._random.seed(seed)
    bus = bus_on(line)
    outcomes = [read_from(bus) for _ in range(300)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, BusError)]

    assert all(outcome == RIGHT for outcome in outcomes if not isinstance(outcome, BusError))
    assert all(error.motors and set(error.motors) <= set(IDS) for error in failed)
    assert bus.counts.questions == 300
    assert bus.counts.failures == len(failed)
    assert 0 < bus.counts.retries <= 3 * 300
    assert len(failed) <= {1: 0, 5: 2, 20: 60}[loss_percent]


@pytest.mark.parametrize("fault", ["garbage_percent", "broken_percent", "torn_percent"])
def test_noise_and_torn_answers_never_become_values(fault: str) -> None:
    line = line_at(*ANGLES)
    setattr(line.chain.faults, fault, 20)
    bus = bus_on(line)
    outcomes = [read_from(bus) for _ in range(300)]

    assert outcomes.count(RIGHT) > 290
    assert all(outcome == RIGHT or isinstance(outcome, BusError) for outcome in outcomes)
    assert bus.counts.retries <= 3 * 300


def test_a_question_is_repeated_to_those_alone_that_did_not_answer_and_not_without_end() -> None:
    line = line_at(*ANGLES)
    line.chain.unplug(5)
    bus = bus_on(line)

    with pytest.raises(BusError, match=r"motor 5 \(wrist_roll\) does not answer"):
        bus.values(PRESENT_POSITION)
    assert [packet[7:-1] for packet in line.chain.packets] == [bytes(IDS)] + 3 * [bytes([5])]
    assert line.now() == pytest.approx(4 * 0.025, abs=0.01)


@pytest.mark.parametrize(
    ("missing", "where"),
    [
        ((3, 4, 5, 6), "the cable from motor 2 to 3"),
        ((6,), "the cable from motor 5 to 6"),
        ((1, 2, 3, 4, 5, 6), "switch the power supply of the servos on"),
        ((2, 4), "their plugs"),
    ],
)
def test_silence_says_where_to_look(missing: tuple[int, ...], where: str) -> None:
    line = line_at(*ANGLES)
    line.chain.unplug(*missing)

    with pytest.raises(BusError, match=where) as caught:
        bus_on(line).values(PRESENT_POSITION)
    assert caught.value.motors == missing


def test_two_servos_with_one_id_are_suspected_by_their_garbled_answers() -> None:
    line = line_at(*ANGLES)
    line.chain.servos.append(Servo(6, angle=1234.0))
    line.chain.settle()

    with pytest.raises(BusError, match=r"motor 6 \(gripper\) come garbled: two servos with one id"):
        bus_on(line).values(PRESENT_POSITION)


@pytest.mark.parametrize(
    ("bit", "word"), [(1, "voltage"), (2, "encoder"), (4, "hot"), (8, "current"), (32, "overload")]
)
def test_a_fault_that_a_servo_reports_names_it_and_what_to_do(bit: int, word: str) -> None:
    line = line_at(*ANGLES)
    line.chain.servo(2).error = bit
    bus = bus_on(line)

    with pytest.raises(ServoError, match=rf"motor 2 \(shoulder_lift\) reports .*{word}.*: ") as caught:
        bus.read(2, PRESENT_POSITION)
    with pytest.raises(ServoError):
        bus.write(2, GOAL_POSITION, 5)
    assert caught.value.motors == (2,)
    assert bus.read_all(PRESENT_POSITION.address, 2)[2].error == bit


def test_the_bit_that_some_firmware_sets_while_torque_is_on_is_no_fault() -> None:
    line = line_at(*ANGLES)
    line.chain.servo(2).error = 0x10

    assert bus_on(line).read(2, PRESENT_POSITION) == 2047


def test_what_a_servo_said_before_the_question_is_no_answer_to_it() -> None:
    line = line_at(*ANGLES)
    bus = bus_on(line)
    line.hear(bytes.fromhex("ffff 01 04 00 1808 da"))  # 2072

    assert bus.read(1, PRESENT_POSITION) == 100


@pytest.mark.parametrize("late_s", [0.02, 0.026, 0.04, 0.06, 0.09])
def test_answers_that_are_late_never_count_as_answers_to_another_question(late_s: float) -> None:
    line = line_at(*ANGLES)
    bus = bus_on(line, retries=5)
    for id_ in IDS:
        bus.write(id_, GOAL_POSITION, 2000 + id_)
    line.late_s = late_s

    for _ in range(3):
        assert bus.values(PRESENT_POSITION) == RIGHT
        assert bus.values(GOAL_POSITION) == {id_: 2000 + id_ for id_ in IDS}
        assert bus.read(6, PRESENT_POSITION) == 3000
        bus.write(6, GOAL_POSITION, 2006)
        assert bus.present((6,)) == (6,)


def test_an_answer_that_lies_there_when_its_time_is_over_is_still_taken() -> None:
    line = line_at(*ANGLES)
    bus = bus_on(line, retries=0)
    write = line.write

    def stall(data: bytes) -> None:
        write(data)
        line.now_s += 1  # this computer had something else to do

    line.write = stall  # type: ignore[method-assign]

    assert bus.values(PRESENT_POSITION) == RIGHT


def test_a_line_that_is_never_quiet_ends_in_an_error_all_the_same() -> None:
    line = line_at(*ANGLES)
    bus = bus_on(line)

    def noise(within_s: float) -> bytes:
        line.now_s += min(0.01, within_s)
        return b"\xff"

    line.read = noise  # type: ignore[method-assign]

    for register in (PRESENT_POSITION, GOAL_POSITION):
        with pytest.raises(BusError, match="garbled"):
            bus.values(register)
    assert line.now() < 1
