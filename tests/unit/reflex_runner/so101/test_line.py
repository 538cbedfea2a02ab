from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

import pytest
import serial

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import BusError, PortError
from reflex_runner.so101.line import open_line, refusal_of
from reflex_runner.so101.registers import PRESENT_POSITION
from support.servos.chain import Chain, Faults
from support.servos.wires import pty_bus

PATIENT_S = 20.0


@pytest.mark.parametrize("faults", [Faults(), Faults(latency_s=0.003)], ids=["at once", "late"])
def test_a_bus_is_spoken_to_over_a_real_serial_port(faults: Faults) -> None:
    with pty_bus(Chain(faults=faults)) as servos:
        bus = Bus(open_line(servos.port), answer_within_s=PATIENT_S)
        try:
            assert set(bus.values(PRESENT_POSITION).values()) == {2048}
        finally:
            bus.close()


@pytest.mark.parametrize("loss_percent", [1, 5, 20])
def test_over_a_lossy_port_reads_are_right_or_say_who_was_silent(loss_percent: int) -> None:
    with pty_bus(Chain(faults=Faults(loss_percent=loss_percent, garbage_percent=5, torn_percent=2))) as servos:
        bus = Bus(open_line(servos.port))
        try:
            for _ in range(20):
                with suppress(BusError):
                    assert set(bus.values(PRESENT_POSITION).values()) == {2048}
        finally:
            bus.close()


def test_a_second_run_on_the_same_port_is_refused() -> None:
    with pty_bus() as servos:
        first = open_line(servos.port)
        try:
            with pytest.raises(PortError, match="is in use by another program"):
                open_line(servos.port)
            open_line(servos.port, exclusive=False).close()
        finally:
            first.close()
        open_line(servos.port).close()


def test_a_pulled_cable_says_which_port_is_gone() -> None:
    with pty_bus() as servos:
        bus = Bus(open_line(servos.port))
        servos.pull()
        with pytest.raises(BusError, match=f"{servos.port} is gone"):
            bus.values(PRESENT_POSITION)
        with pytest.raises(BusError, match="is gone"):
            bus.write_all(PRESENT_POSITION, {1: 1})
        bus.close()


def test_a_port_that_is_not_there_and_a_file_that_is_no_port_are_told(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="there is no port"):
        open_line(f"{tmp_path}/ttyACM9")
    with pytest.raises(PortError, match="cannot be opened as a serial port"):
        open_line(__file__)


def test_who_may_not_open_a_port_hears_the_group_and_to_log_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = OSError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(Path, "group", lambda _: "uucp")

    told = refusal_of("/dev/ttyACM0", denied)
    monkeypatch.setattr(Path, "group", lambda _: "root")

    assert "it is for the group uucp; run `sudo usermod -aG uucp $USER`, then log out and in again" in told
    assert "dialout" in refusal_of("/dev/ttyACM0", denied)


def test_an_adapter_that_would_hold_answers_back_is_asked_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(serial.Serial, "set_low_latency_mode", lambda _, wanted: asked.append(wanted))
    with pty_bus() as servos:
        open_line(servos.port).close()

    assert asked == [True]


def test_what_another_reader_took_is_silence_and_no_pulled_cable(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_there(_self: object, _size: int) -> bytes:
        raise serial.SerialException("device reports readiness to read but returned no data")

    with pty_bus() as servos:
        line = open_line(servos.port)
        monkeypatch.setattr(serial.Serial, "read", nothing_there)
        line.write(bytes.fromhex("ffff 01 02 01 fb"))
        assert line.read(PATIENT_S) == b""
        servos.pull()
        with pytest.raises(BusError, match="is gone"):
            line.read(PATIENT_S)
        line.close()
