from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk, Connector
from reflex.errors import SetupError
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.connectors.so101 import SO101, SO101Settings, build
from reflex_runner.loop.precedence import take_precedence
from reflex_runner.so101.errors import BusError, CalibrationError, PortError, ServoError, SO101Error
from reflex_runner.so101.line import open_line
from reflex_runner.so101.places import Places
from reflex_runner.so101.rescue import stop_arm
from support.promise import Promise
from support.servos.arms import CALIBRATION, MIDDLE, calibrate, write_file
from support.servos.chain import Chain, Faults
from support.servos.wires import PtyBus, WireLine, pty_bus

HOME = np.zeros(6, np.float32)
HOME[5] = 50


class Bench:
    """A connector on servos without time in them."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        write_file(folder)
        self.line = WireLine()
        self.chain = calibrate(self.line.chain)
        places = Places("wire", folder)
        self.arm = SO101(SO101Settings(**settings), places=places, open_port=lambda _: self.line, clock=self.line)

    def after(self, seconds: float) -> list[int]:
        self.line.now_s += seconds
        self.chain.settle()
        return [servo.present for servo in self.chain.servos]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def command(*values: float) -> ActionChunk:
    return ActionChunk(np.array([values], np.float32), 1 / 30)


def test_it_is_a_connector_that_says_its_units_embodiment_and_calibration(bench: Bench) -> None:
    assert isinstance(bench.arm, Connector)
    assert bench.arm.embodiment == "so101"
    assert bench.arm.units == ("deg",) * 5 + ("percent_open",)
    assert bench.arm.calibration_id == CALIBRATION.calibration_id


def test_starting_and_observing_write_nothing_and_move_nothing(bench: Bench) -> None:
    bench.arm.start()
    state = bench.arm.get_observation().state
    bench.arm.safe_stop("nothing has begun")
    bench.arm.stop()

    assert state.tolist() == pytest.approx(HOME.tolist(), abs=0.1)
    assert state.dtype == np.float32
    assert [servo.written for servo in bench.chain.servos] == [[]] * 6
    assert bench.line.is_closed


def test_percent_are_percent(tmp_path: Path) -> None:
    bench = Bench(tmp_path, embodiment="so101_percent", units="percent")
    bench.arm.start()
    bench.chain.servo(1).angle = 3311.0 - 120

    assert bench.arm.get_observation().state[0] == pytest.approx(100, abs=0.1)


def test_the_first_command_puts_torque_on_last_with_the_goal_where_the_arm_is(bench: Bench) -> None:
    for servo in bench.chain.servos:
        servo.set_signed(42, 3000, 15)
        servo.set_signed(46, 0, 15)
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))

    for servo, middle in zip(bench.chain.servos, MIDDLE, strict=True):
        goals_and_torque = [(address, data) for address, data in servo.written if address in (40, 42)]
        assert goals_and_torque[:2] == [(42, middle.to_bytes(2, "little")), (40, b"\x01")]
        assert (46, (3400).to_bytes(2, "little")) in servo.written[: servo.written.index((40, b"\x01"))]


def test_commands_move_the_arm_and_no_step_is_lost(bench: Bench) -> None:
    bench.arm.start()
    bench.arm.apply_action(command(10, -20, 30, 40, -50, 80))
    bench.after(5)

    assert bench.arm.get_observation().state.tolist() == pytest.approx([10, -20, 30, 40, -50, 80], abs=0.1)


def test_a_servo_that_is_set_up_already_gets_torque_and_goals_alone(bench: Bench) -> None:
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))
    bench.arm.release()
    for servo in bench.chain.servos:
        servo.written.clear()
    bench.arm.stop()
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))

    assert {address for servo in bench.chain.servos for address, _ in servo.written} == {40, 42}


@pytest.mark.parametrize("values", [(0, 0, 0, 0, 0, float("nan")), (0, 0, 0), (float("inf"),) * 6])
def test_what_is_no_command_is_refused_before_torque_goes_on(bench: Bench, values: tuple[float, ...]) -> None:
    bench.arm.start()

    with pytest.raises(SO101Error, match="6 finite numbers"):
        bench.arm.apply_action(command(*values))
    with pytest.raises(SO101Error, match="one action at a time, not 2"):
        bench.arm.apply_action(ActionChunk(np.zeros((2, 6), np.float32), 0.1))
    assert [servo.written for servo in bench.chain.servos] == [[]] * 6


def test_safe_stop_holds_the_arm_and_release_lets_it_go(bench: Bench) -> None:
    bench.arm.start()
    bench.arm.apply_action(command(40, 0, 0, 0, 0, 50))
    on_its_way = bench.after(0.05)
    bench.arm.safe_stop("test")

    assert bench.after(5) == pytest.approx(on_its_way, abs=1)
    bench.arm.release()
    assert [servo.torque for servo in bench.chain.servos] == [False] * 6
    bench.arm.get_observation()


def test_stop_closes_the_port_and_leaves_the_torque(bench: Bench) -> None:
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))
    bench.arm.stop()
    bench.arm.stop()

    assert [servo.torque for servo in bench.chain.servos] == [True] * 6
    with pytest.raises(SO101Error, match=r"call start\(\) first"):
        bench.arm.get_observation()


def test_an_overload_and_a_motor_that_lost_its_torque_are_told(bench: Bench) -> None:
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))
    bench.chain.servo(4).switch_off_and_on()
    with pytest.raises(ServoError, match=r"motor 4 \(wrist_flex\) has lost its torque: its power dropped"):
        bench.arm.get_observation()
    bench.chain.servo(2).error = 32
    with pytest.raises(ServoError, match=r"motor 2 \(shoulder_lift\) reports an overload, and has gone limp: free"):
        bench.arm.get_observation()
    bench.chain.servo(2).error = 1
    with pytest.raises(ServoError, match=r"reports a voltage .*shoulder_lift 7\.4 V.*: look at the power supply"):
        bench.arm.get_observation()


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (lambda chain: chain.unplug(6), BusError, "cable from motor 5 to 6"),
        (lambda chain: chain.servo(2).calibrate(0, 0, 4095), CalibrationError, "another calibration than the file"),
        (lambda chain: chain.servo(1).memory.__setitem__(62, 120), ServoError, "12.0 V of 4.0 to 8.0 V"),
    ],
    ids=["missing", "calibration", "voltage"],
)
def test_what_is_wrong_at_the_start_is_refused_and_the_port_can_be_closed(
    bench: Bench, spoil: Any, kind: type[Exception], words: str
) -> None:
    spoil(bench.chain)

    with pytest.raises(kind, match=words):
        bench.arm.start()
    bench.arm.stop()
    assert bench.line.is_closed


def test_settings_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_LEROBOT_CALIBRATION", str(tmp_path))
    with pytest.raises(CalibrationError, match="no arm is calibrated"):
        build({})
    write_file(tmp_path)
    assert build({"id": "left"}).calibration_id == CALIBRATION.calibration_id
    for cfg, words in (
        ({"prot": "x"}, "did you mean 'port'"),
        ({"units": "radians"}, "hardware.units"),
        ({"retries": 99}, "hardware.retries"),
    ):
        with pytest.raises(SetupError, match=words):
            build(cfg)
    with pytest.raises(SetupError, match="contradicts the embodiment"):
        build({"units": "percent"})


@pytest.mark.parametrize("loss_percent", [1, 5, 20])
def test_with_lost_packets_an_observation_is_right_or_an_error_and_the_arm_arrives(
    tmp_path: Path, loss_percent: int
) -> None:
    bench = Bench(tmp_path, retries=6)
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))
    bench.chain.faults = Faults(loss_percent=loss_percent, garbage_percent=2, torn_percent=1)
    right = 0
    for _ in range(200):
        bench.arm.apply_action(command(20, 0, 0, 0, 0, 50))
        bench.after(1 / 30)
        with suppress(BusError):
            assert -0.1 < bench.arm.get_observation().state[0] < 20.1
            right += 1

    assert right >= {1: 200, 5: 200, 20: 190}[loss_percent]
    assert bench.arm.counts.retries > 0
    assert bench.chain.servo(1).present == pytest.approx(MIDDLE[0] + 20 * 4095 / 360, abs=1)


@pytest.fixture
def on_a_port(tmp_path: Path) -> Iterator[tuple[SO101, PtyBus]]:
    """Nothing moves there: no time passes for its servos."""
    write_file(tmp_path)
    with pty_bus(calibrate(Chain(now=lambda: 0.0))) as servos:
        arm = SO101(SO101Settings(port=servos.port), places=Places(None, tmp_path), answer_within_s=20)
        try:
            yield arm, servos
        finally:
            arm.stop()


def test_observing_and_applying_at_once_share_a_real_port(on_a_port: tuple[SO101, PtyBus]) -> None:
    arm, servos = on_a_port
    arm.start()
    arm.apply_action(command(*HOME))
    states: list[list[float]] = []
    thread = threading.Thread(target=lambda: states.extend(arm.get_observation().state.tolist() for _ in range(30)))
    thread.start()
    for _ in range(100):
        arm.apply_action(command(5, 0, 0, 0, 0, 50))
    thread.join()

    assert len(states) == 30
    assert servos.chain.servo(1).goal == pytest.approx(MIDDLE[0] + 5 * 4095 / 360, abs=1)


def test_another_process_can_hold_and_release_the_arm_while_the_port_is_locked(on_a_port: tuple[SO101, PtyBus]) -> None:
    arm, servos = on_a_port
    arm.start()
    arm.apply_action(command(*HOME))
    handle = json.loads(json.dumps(arm.watch_handle()))
    servos.chain.servo(1).write(42, (900).to_bytes(2, "little"))

    with pytest.raises(PortError, match="in use by another program"):
        open_line(servos.port)
    stop_arm("hold", **handle["arguments"])
    assert handle["rungs"] == ["hold", "release"]
    assert servos.chain.servo(1).goal == MIDDLE[0]
    stop_arm("release", **handle["arguments"])
    assert [servo.torque for servo in servos.chain.servos] == [False] * 6
    with pytest.raises(SO101Error, match="cannot return_to_rest"):
        stop_arm("return_to_rest", **handle["arguments"])


def test_a_pulled_cable_ends_in_an_error_that_names_the_port(on_a_port: tuple[SO101, PtyBus]) -> None:
    arm, servos = on_a_port
    arm.start()
    arm.apply_action(command(*HOME))
    servos.pull()

    for call in (arm.get_observation, lambda: arm.apply_action(command(*HOME)), arm.safe_stop):
        with pytest.raises(BusError, match=f"{servos.port} is gone"):
            call()
    with pytest.raises(SO101Error, match=rf"{servos.port} is gone.*pull it"):
        arm.release()
    arm.stop()


@pytest.mark.timing
def test_commands_leave_on_time_beside_an_observing_thread(tmp_path: Path, promise: Promise) -> None:
    write_file(tmp_path)
    with pty_bus(calibrate(Chain(faults=Faults(latency_s=0.0002)))) as servos:
        arm = SO101(SO101Settings(port=servos.port), places=Places(None, tmp_path))
        arm.start()
        arm.apply_action(command(*HOME))
        late_s = promise.within_99_of_100(lambda: late_commands(arm, periods=200))
        arm.stop()

    promise("99 of 100 commands at 30 Hz are with an SO-101's servos within 3 ms", late_s, at_most=0.003)


def late_commands(arm: SO101, periods: int) -> list[float]:
    """By how much each command left after its moment, of threads that command and observe as those of a run do."""
    is_over = threading.Event()

    def observe() -> None:
        take_precedence(below=1)
        while not is_over.wait(1 / 30):
            arm.get_observation()

    thread = threading.Thread(target=observe)
    thread.start()
    late_s: list[float] = []

    def command_at_30_hz() -> None:
        take_precedence()
        began = time.monotonic()
        for period in range(1, periods + 1):
            SYSTEM_CLOCK.sleep_until(began + period / 30)
            arm.apply_action(command(*HOME))
            late_s.append(time.monotonic() - began - period / 30)

    loop = threading.Thread(target=command_at_30_hz)
    loop.start()
    loop.join()
    is_over.set()
    thread.join()
    return late_s


@pytest.mark.parametrize(("steps", "degrees"), [(-58, 5), (-1200, 49), (900, 79)])
def test_a_joint_outside_of_its_calibrated_range_is_not_thrown_to_the_end_of_it(
    tmp_path: Path, steps: int, degrees: int
) -> None:
    bench = Bench(tmp_path, embodiment="so101_percent")
    bench.arm.start()
    joint = CALIBRATION.joints[1]
    at = joint.range_min + steps if steps < 0 else joint.range_max + steps
    bench.chain.servo(2).angle = float(at + joint.homing_offset)
    measured = bench.arm.get_observation().state[1]
    assert measured == pytest.approx(-100 if steps == -58 else 100, abs=0.1), "which is 1200 steps over the seam, too"

    with pytest.raises(CalibrationError, match=rf"motor 2 \(shoulder_lift\) stands {degrees} degrees outside"):
        bench.arm.apply_action(command(0, -100, 0, 0, 0, 50))

    assert [servo.torque for servo in bench.chain.servos] == [False] * 6
    bench.chain.servo(2).angle = float(joint.range_min - 40 + joint.homing_offset)
    bench.arm.apply_action(command(0, -100, 0, 0, 0, 50))


def test_an_arm_under_torque_is_not_asked_for_its_place_again(bench: Bench) -> None:
    bench.arm.start()
    bench.arm.apply_action(command(*HOME))
    asked = bench.arm.counts.questions
    bench.arm.apply_action(command(*HOME))
    assert bench.arm.counts.questions == asked
