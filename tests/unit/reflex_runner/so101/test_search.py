from __future__ import annotations

import pytest

from reflex_runner.so101 import bus
from reflex_runner.so101.errors import PortError
from reflex_runner.so101.line import open_line
from reflex_runner.so101.registers import IDS
from reflex_runner.so101.search import Candidate, SerialPort, find_port, look_at, look_at_ports, serial_ports
from support.servos.wires import pty_bus

PATIENT_S = 20.0
ADAPTER, OTHER = 0x1A86, 0x2341
PORTS = (
    SerialPort("/dev/ttyACM0", ADAPTER),
    SerialPort("/dev/ttyACM1", OTHER),
    SerialPort("/dev/ttyS0"),
    SerialPort("/dev/ttyUSB0", ADAPTER),
)


class Ports:
    """What stands behind each name, and which of them were asked."""

    def __init__(self, **motors: tuple[int, ...]) -> None:
        self.motors = {f"/dev/{name}": ids for name, ids in motors.items()}
        self.asked: list[str] = []

    def look(self, port: str) -> Candidate:
        self.asked.append(port)
        return Candidate(port, self.motors.get(port, ()))


def test_the_only_adapter_with_six_servos_is_it_and_no_other_device_is_asked() -> None:
    ports = Ports(ttyUSB0=IDS)

    assert find_port(PORTS, ports.look) == "/dev/ttyUSB0"
    assert ports.asked == ["/dev/ttyACM0", "/dev/ttyUSB0"]


def test_a_port_of_a_common_name_is_asked_when_no_adapter_has_the_arm() -> None:
    ports = Ports(ttyACM1=IDS)

    assert find_port(PORTS, ports.look) == "/dev/ttyACM1"
    assert "/dev/ttyS0" not in ports.asked


FIRST_LINE = (
    "Could not auto-detect an SO-101 serial bus: plug it in and switch the servos' power on, or say which port it is"
)


def test_none_is_told_with_the_candidates_and_the_line_that_names_one() -> None:
    with pytest.raises(PortError) as caught:
        find_port(PORTS, Ports(ttyACM0=(1, 2)).look)

    assert str(caught.value).splitlines() == [
        FIRST_LINE,
        "  /dev/ttyACM0: only motors 1 (shoulder_pan), 2 (shoulder_lift) answered",
        "  /dev/ttyUSB0: no servo answered",
        "  /dev/ttyACM1: no servo answered",
        "export REFLEX_SO101_PORT=/dev/ttyACM0",
    ]


def test_several_are_told_and_none_is_chosen() -> None:
    with pytest.raises(PortError, match="2 ports have one") as caught:
        find_port(PORTS, Ports(ttyACM0=IDS, ttyUSB0=IDS).look)

    assert "/dev/ttyUSB0: has all six servos" in str(caught.value)


def test_a_computer_without_ports_hears_so() -> None:
    with pytest.raises(PortError, match=r"no serial port that could be one.*\nexport REFLEX_SO101_PORT=/dev/ttyUSB0"):
        find_port((), Ports().look)


def test_a_real_port_is_asked_and_left_free() -> None:
    with pty_bus() as servos:
        assert look_at(servos.port, PATIENT_S) == Candidate(servos.port, IDS)
        held = open_line(servos.port)
        busy = look_at(servos.port)
        held.close()

    assert busy.problem is not None
    assert "in use by another program" in busy.problem


def test_a_second_arm_on_another_port_is_seen_and_none_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "ANSWER_WITHIN_S", PATIENT_S)
    with pty_bus() as follower, pty_bus() as leader:
        ports = [SerialPort(one.port, ADAPTER) for one in (follower, leader)]
        with pytest.raises(PortError, match="2 ports have one") as caught:
            find_port(ports)

    assert f"{leader.port}: has all six servos" in str(caught.value)


def test_a_port_that_cannot_be_opened_is_a_candidate_with_its_reason() -> None:
    found = look_at_ports([SerialPort("/dev/ttyACM77", ADAPTER)])

    assert found[0].finding.startswith("there is no port /dev/ttyACM77")


def test_the_ports_of_this_computer_are_listed() -> None:
    assert [port.name for port in serial_ports()] == sorted(port.name for port in serial_ports())
