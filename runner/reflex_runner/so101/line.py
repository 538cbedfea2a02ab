"""The serial line that the bus speaks over: bytes out, bytes in, by a deadline."""

from __future__ import annotations

import errno
import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.so101.errors import BusError, PortError

__all__ = ["BAUD", "Line", "SerialLine", "open_line", "pyserial", "refusal_of", "stable_name"]

BAUD: Final = 1_000_000
WRITE_WITHIN_S: Final = 0.2
SOME_BYTES: Final = 4096


class Line(Protocol):
    """What the bus needs of a serial port. `BusError` when the cable is gone."""

    def write(self, data: bytes) -> None: ...

    def read(self, within_s: float) -> bytes:
        """What has come, as soon as something has; nothing after so many seconds of silence."""
        ...

    def drop_input(self) -> None:
        """Forget what came and was not read."""
        ...

    def close(self) -> None: ...


def open_line(port: str, *, exclusive: bool = True) -> SerialLine:
    """Open a port at the servos' speed; `PortError` says why that cannot be.

    With `exclusive` no other program that asks for the same can open it as well.
    """
    serial = pyserial()
    try:
        opened = serial.Serial(port, BAUD, timeout=0, write_timeout=WRITE_WITHIN_S, exclusive=exclusive)
    except (OSError, ValueError) as exc:  # pyserial's own are an OSError; ValueError: a name that can be no port
        raise PortError(refusal_of(port, exc)) from exc
    with suppress(OSError, ValueError, AttributeError):  # what is no FTDI adapter, or no Linux, has no such setting
        opened.set_low_latency_mode(True)  # it would hold answers back for 16 ms
    return SerialLine(port, opened)


class SerialLine:
    """A port of pyserial, read without waiting longer than is said."""

    def __init__(self, port: str, serial: Any) -> None:  # noqa: ANN401  # pyserial has no types
        self._port, self._serial = port, serial

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except OSError as exc:
            raise self._gone() from exc

    def read(self, within_s: float) -> bytes:
        try:
            ready, _, _ = select.select([self._serial.fileno()], [], [], max(0.0, within_s))
            return self._serial.read(SOME_BYTES) if ready else b""
        except (OSError, ValueError, TypeError) as exc:  # the last two: closed by another thread meanwhile
            if getattr(exc, "errno", None) is None and isinstance(exc, OSError) and self._is_shared():
                return b""
            raise self._gone() from exc

    def drop_input(self) -> None:
        try:
            self._serial.reset_input_buffer()
        except Exception as exc:  # termios.error is no OSError, and each system has its own
            raise self._gone() from exc

    def close(self) -> None:
        self._serial.close()

    def _is_shared(self) -> bool:
        """Whether the port is there all the same: somebody else has read what was to be read, as a watchdog may."""
        return bool(self._serial.is_open) and Path(self._port).exists()

    def _gone(self) -> BusError:
        return BusError(
            f"{self._port} is gone: the USB cable was pulled, or its port lost power; plug it in again, and look with "
            "`reflex so101 find` whether it has another name now"
        )


def refusal_of(port: str, exc: Exception) -> str:
    """Why a port cannot be opened, and what to do."""
    number = getattr(exc, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return _no_permission(port)
    if number in (errno.EAGAIN, errno.EBUSY):
        return (
            f"{port} is in use by another program: another run, LeRobot, or for some seconds after plugging in "
            "ModemManager or brltty; end it, or wait, and try again"
        )
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return f"there is no port {port}; `reflex so101 find` lists those with an arm"
    return f"{port} cannot be opened as a serial port ({exc}); `reflex so101 find` lists those with an arm"


def _no_permission(port: str) -> str:
    group = _group_of(port)
    return (
        f"you may not open {port}: it is for the group {group}; run `sudo usermod -aG {group} $USER`, "
        "then log out and in again"
    )


def _group_of(port: str) -> str:
    """The device's own; Debian and Ubuntu say dialout, Arch and Fedora's relatives uucp."""
    try:
        name = Path(port).group()
    except (OSError, KeyError):
        return "dialout"
    return "dialout" if name == "root" else name


def pyserial() -> Any:  # noqa: ANN401  # a module without types
    """The package; `SetupError` says what to install."""
    try:
        import serial
    except ModuleNotFoundError as exc:
        raise SetupError(
            f"an SO-101 needs the package pyserial, which is not installed; run: {install_line('runner')}"
        ) from exc
    return serial


def stable_name(port: str) -> str:
    """The name under /dev/serial/by-id, which stays when others are plugged in; the port's own where it has none."""
    folder = Path("/dev/serial/by-id")
    links = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((str(link) for link in links if os.path.realpath(link) == os.path.realpath(port)), port)
