"""Six servos on one cable: instruction packets in, status packets out, with everything that a cable does to them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from support.servos.servo import Servo

__all__ = ["NAMES", "Chain", "Faults"]

NAMES: Final = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@dataclass
class Faults:
    """Switches. The percentages are of packets, drawn from `seed`."""

    loss_percent: float = 0.0
    """Packets that never arrive, questions as well as answers."""
    garbage_percent: float = 0.0
    """Answers before which noise stands."""
    broken_percent: float = 0.0
    """Answers of which one byte is another."""
    torn_percent: float = 0.0
    """Answers of which the end is missing."""
    latency_s: float = 0.0
    seed: int = 1


@dataclass
class Chain:
    """`servos` may be taken out, or hold an id twice. `exchange` is called by whatever carries the bytes."""

    now: Callable[[], float] = time.monotonic
    faults: Faults = field(default_factory=Faults)
    servos: list[Servo] = field(default_factory=lambda: [Servo(id_) for id_ in range(1, 7)])
    packets: list[bytes] = field(default_factory=list)
    """Every instruction that arrived."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.faults.seed)
        self._moved_s = self.now()
        self._unread = bytearray()
        self.lock = threading.RLock()

    def servo(self, id_: int) -> Servo:
        return next(servo for servo in self.servos if servo.id == id_)

    def unplug(self, *ids: int) -> None:
        with self.lock:
            self.servos = [servo for servo in self.servos if servo.id not in ids]

    def exchange(self, data: bytes) -> list[bytes]:
        """What comes back for these bytes, packet by packet."""
        with self.lock:
            self._unread += data
            return [answer for packet in self._take_packets() for answer in self._answer(packet)]

    def settle(self) -> None:
        """Let the servos move up to now."""
        with self.lock:
            now_s = self.now()
            for servo in self.servos:
                servo.move(now_s - self._moved_s)
            self._moved_s = now_s

    def _take_packets(self) -> Iterator[bytes]:
        while (start := self._unread.find(b"\xff\xff")) >= 0:
            del self._unread[:start]
            if len(self._unread) < 4 or len(self._unread) < (whole := self._unread[3] + 4):
                return
            packet = bytes(self._unread[:whole])
            del self._unread[:whole]
            if (sum(packet[2:]) & 0xFF) == 0xFF:
                yield packet

    def _answer(self, packet: bytes) -> Iterator[bytes]:
        self.settle()
        if self._happens(self.faults.loss_percent):
            return
        self.packets.append(packet)
        for together in self._statuses(packet):
            yield from self._over_the_cable(_collide(together))

    def _statuses(self, packet: bytes) -> Iterator[list[bytes]]:
        """What is said, in order; of an id that is there twice both speak at once."""
        id_, instruction, params = packet[2], packet[4], packet[5:-1]
        if instruction == 0x82:
            for asked in params[2:]:
                yield from self._read(asked, params[0], params[1])
        elif instruction == 0x83:
            for at in range(2, len(params), params[1] + 1):
                self._write(params[at], params[0], params[at + 1 : at + 1 + params[1]])
        elif instruction == 0x01:
            for one in sorted({servo.id for servo in self._powered()}) if id_ == 0xFE else [id_]:
                yield from self._read(one, 0, 0)
        elif instruction == 0x02:
            yield from self._read(id_, params[0], params[1])
        elif instruction == 0x03:
            self._write(id_, params[0], params[1:])
            if any(servo.memory[8] for servo in self._powered() if servo.id == id_):
                yield from self._read(id_, 0, 0)

    def _read(self, id_: int, address: int, size: int) -> Iterator[list[bytes]]:
        asked = [servo for servo in self._powered() if servo.id == id_]
        if asked:
            yield [_status(id_, servo.error, bytes(servo.memory[address : address + size])) for servo in asked]

    def _write(self, id_: int, address: int, data: bytes) -> None:
        for servo in self._powered():
            if servo.id == id_:
                servo.write(address, data)

    def _powered(self) -> list[Servo]:
        return [servo for servo in self.servos if servo.is_powered]

    def _over_the_cable(self, answer: bytes) -> Iterator[bytes]:
        if self._happens(self.faults.loss_percent):
            return
        if self._happens(self.faults.broken_percent):
            at = self._random.randrange(len(answer))
            answer = answer[:at] + bytes((answer[at] ^ 0x20,)) + answer[at + 1 :]
        if self._happens(self.faults.torn_percent):
            answer = answer[: self._random.randrange(1, len(answer))]
        noise = self._random.randbytes(self._random.randrange(1, 9))
        yield noise + answer if self._happens(self.faults.garbage_percent) else answer

    def _happens(self, percent: float) -> bool:
        return percent > 0 and self._random.random() * 100 < percent


def _status(id_: int, error: int, params: bytes) -> bytes:
    body = bytes((id_, len(params) + 2, error)) + params
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


def _collide(answers: list[bytes]) -> bytes:
    """Two that speak at once: the line is low where one of them pulls it low."""
    together = answers[0]
    for other in answers[1:]:
        together = bytes(one & two for one, two in zip(together, other, strict=True))
    return together
