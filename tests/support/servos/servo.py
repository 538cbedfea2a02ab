"""One STS3215 as its bus sees it: registers, and a position that moves towards its goal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Servo"]

TORQUE, ACCELERATION, GOAL, GOAL_VELOCITY, TORQUE_LIMIT, LOCK, PRESENT = 40, 41, 42, 46, 48, 55, 56
OFFSET, MAX_TORQUE, PHASE = 31, 16, 18
LASTING: Final = 40
FACTORY: Final = {
    0: 3, 1: 10, 6: 0, 7: 250, 8: 1, 12: 0x0F, 11: 0xFF, 13: 70, 14: 80, 15: 40, 16: 0xE8, 17: 0x03, 18: 12,
    21: 32, 22: 32, 28: 0xF4, 29: 0x01, 34: 20, 35: 200, 36: 80, 62: 74, 63: 31,
}  # fmt: skip


@dataclass
class Servo:
    """`angle` is what the encoder says, in steps; `error` what each of its answers carries.

    `ignores_torque`: it keeps its torque as it is, whatever it is told.
    """

    id: int
    angle: float = 2048.0
    error: int = 0
    is_powered: bool = True
    ignores_torque: bool = False
    ignores_writes: bool = False
    steps_a_second: float = 3000.0
    memory: bytearray = field(default_factory=lambda: bytearray(256))
    written: list[tuple[int, bytes]] = field(default_factory=list)
    """Every write that reached it: address, and bytes."""

    def __post_init__(self) -> None:
        for address, value in FACTORY.items():
            self.memory[address] = value
        self.memory[3:5] = (777).to_bytes(2, "little")
        self.memory[5] = self.id
        self._lasting = bytes(self.memory[:LASTING])
        self.switch_off_and_on()

    def switch_off_and_on(self) -> None:
        """What was written while `Lock` was 1 is forgotten."""
        self.memory[:LASTING] = self._lasting
        self.memory[LASTING:62] = bytes(62 - LASTING)
        self.memory[TORQUE_LIMIT : TORQUE_LIMIT + 2] = self.memory[MAX_TORQUE : MAX_TORQUE + 2]
        self.memory[ACCELERATION] = 254
        self.set_signed(GOAL_VELOCITY, 3400, 15)
        self.memory[LOCK] = 1
        self._show()

    @property
    def torque(self) -> bool:
        return self.memory[TORQUE] == 1

    @property
    def goal(self) -> int:
        return self.signed(GOAL, 15)

    @property
    def present(self) -> int:
        steps = round(self.angle) - self.signed(OFFSET, 11)
        return steps if self.memory[PHASE] & 0x10 else steps % 4096

    def signed(self, address: int, bit: int) -> int:
        raw = int.from_bytes(self.memory[address : address + 2], "little")
        magnitude = raw % (1 << bit)
        return -magnitude if raw & (1 << bit) else magnitude

    def set_signed(self, address: int, value: int, bit: int) -> None:
        self.memory[address : address + 2] = (abs(value) + ((value < 0) << bit)).to_bytes(2, "little")

    def calibrate(self, offset: int, low: int, high: int) -> None:
        """As if it had been so when it was switched on."""
        self.set_signed(OFFSET, offset, 11)
        self.memory[9:11], self.memory[11:13] = low.to_bytes(2, "little"), high.to_bytes(2, "little")
        self._lasting = bytes(self.memory[:LASTING])
        self._show()

    def write(self, address: int, data: bytes) -> None:
        self.written.append((address, data))
        if self.ignores_writes or (self.ignores_torque and address == TORQUE):
            return
        self.memory[address : address + len(data)] = data
        if address < LASTING and self.memory[LOCK] == 0:
            kept = bytearray(self._lasting)
            kept[address : address + len(data)] = data
            self._lasting = bytes(kept)
        self._show()

    def move(self, seconds: float) -> None:
        """Towards the goal, as far as it gets in that time; a left-over 0 in SRAM keeps it where it is."""
        goal_velocity = abs(self.signed(GOAL_VELOCITY, 15))
        limit = int.from_bytes(self.memory[TORQUE_LIMIT : TORQUE_LIMIT + 2], "little")
        if self.torque and goal_velocity and limit and self.memory[ACCELERATION]:
            far = self.goal + self.signed(OFFSET, 11) - self.angle
            most = min(goal_velocity, self.steps_a_second) * seconds
            self.angle += max(-most, min(most, far))
        self._show()

    def _show(self) -> None:
        self.set_signed(PRESENT, self.present, 15)
        self.memory[65] = self.error
