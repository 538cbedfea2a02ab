"""Which serial port has an SO-101: the adapters on USB are asked, then ports of common names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Final

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import PortError, SO101Error
from reflex_runner.so101.line import open_line, pyserial, stable_name
from reflex_runner.so101.places import PORT_VARIABLE
from reflex_runner.so101.registers import IDS, named

__all__ = ["Candidate", "SerialPort", "choose_port", "find_port", "look_at_ports", "serial_ports"]

ADAPTERS: Final = frozenset({0x1A86, 0x0403, 0x10C4})
"""Makers of the chips on servo boards: WCH (CH340, CH343), FTDI, Silicon Labs."""
COMMON_NAMES: Final = ("/dev/ttyACM*", "/dev/ttyUSB*", "/dev/tty.usb*", "/dev/tty.wchusb*")


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One that this computer has; `vendor` is its USB adapter's maker, when it has one."""

    name: str
    vendor: int | None = None
    description: str = ""

    @property
    def is_adapter(self) -> bool:
        return self.vendor in ADAPTERS

    @property
    def has_common_name(self) -> bool:
        return any(fnmatch(self.name, pattern) for pattern in COMMON_NAMES)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A port that was asked: which ids answered, or why it could not be."""

    port: str
    motors: tuple[int, ...] = ()
    problem: str | None = None

    @property
    def has_arm(self) -> bool:
        return self.motors == IDS

    @property
    def finding(self) -> str:
        if self.problem is not None:
            return self.problem
        if self.has_arm:
            return "has all six servos"
        return f"only {named(self.motors)} answered" if self.motors else "no servo answered"


Look = Callable[[str], Candidate]


def serial_ports() -> list[SerialPort]:
    """Those of this computer, in the order of their names."""
    pyserial()
    from serial.tools import list_ports

    found = [SerialPort(port.device, port.vid, port.description or "") for port in list_ports.comports()]
    return sorted(found, key=lambda port: port.name)


def look_at(port: str, answer_within_s: float | None = None) -> Candidate:
    """Ask a port for the six servos. It is closed again; nothing moves."""
    try:
        bus = Bus(open_line(port), answer_within_s=answer_within_s, retries=1)
    except SO101Error as exc:
        return Candidate(port, problem=str(exc))
    try:
        return Candidate(port, bus.present())
    except SO101Error as exc:
        return Candidate(port, problem=str(exc))
    finally:
        bus.close()


def look_at_ports(ports: Sequence[SerialPort], look: Look = look_at) -> list[Candidate]:
    """The adapters on USB; those of common names as well when none of the former has an arm."""
    asked = [look(port.name) for port in ports if port.is_adapter]
    if not any(candidate.has_arm for candidate in asked):
        asked += [look(port.name) for port in ports if port.has_common_name and not port.is_adapter]
    return asked


def find_port(ports: Sequence[SerialPort] | None = None, look: Look = look_at) -> str:
    """The only port with an arm; `PortError` lists the candidates, and how to name one."""
    return choose_port(look_at_ports(serial_ports() if ports is None else ports, look))


def choose_port(asked: Sequence[Candidate]) -> str:
    """The only one of these that has an arm; `PortError` otherwise."""
    with_arm = [candidate.port for candidate in asked if candidate.has_arm]
    if len(with_arm) == 1:
        return with_arm[0]
    raise PortError(_undecided(asked, with_arm))


def _undecided(asked: Sequence[Candidate], with_arm: Sequence[str]) -> str:
    if with_arm:
        why = f"{len(with_arm)} ports have one (a leader arm looks like a follower); unplug the others, or say which"
    elif asked:
        why = "plug it in and switch the servos' power on, or say which port it is"
    else:
        why = "this computer has no serial port that could be one; plug the arm's USB cable in, or say which port it is"
    each = "".join(f"\n  {stable_name(candidate.port)}: {candidate.finding}" for candidate in asked)
    example = stable_name(with_arm[0] if with_arm else asked[0].port if asked else "/dev/ttyUSB0")
    return f"Could not auto-detect an SO-101 serial bus: {why}{each}\nexport {PORT_VARIABLE}={example}"
