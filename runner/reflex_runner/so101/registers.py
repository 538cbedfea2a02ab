"""The six motors, and the registers of an STS3215 that are of use here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reflex_runner.so101.frame import from_bytes, to_bytes

__all__ = ["IDS", "MODEL_STS3215", "MOTORS", "SENSED", "STEPS", "Register", "named", "sensed"]

MOTORS: Final[Mapping[int, str]] = MappingProxyType(
    dict(enumerate(("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"), 1))
)
"""By id, in the order of the cable and of a state's values."""
IDS: Final = tuple(MOTORS)
MODEL_STS3215: Final = 777
STEPS: Final = 4096
"""Of one turn of the encoder."""


def named(ids: Iterable[int]) -> str:
    """`motor 3 (elbow_flex)`, or `motors 3 (elbow_flex), 4 (wrist_flex)`."""
    each = [f"{id_} ({MOTORS[id_]})" if id_ in MOTORS else str(id_) for id_ in ids]
    return f"motor{'s' if len(each) != 1 else ''} {', '.join(each)}"


@dataclass(frozen=True, slots=True)
class Register:
    """One of a servo's registers. `sign_bit`: the bit that makes its value negative, when it has one."""

    name: str
    address: int
    size: int = 1
    sign_bit: int | None = None

    @property
    def lasts(self) -> bool:
        """Whether it outlives a power cut: it then can be written so many times only, and while `LOCK` is 0."""
        return self.address < TORQUE_ENABLE.address

    def encode(self, value: int) -> bytes:
        """`ValueError` for what it cannot hold."""
        return to_bytes(value, self.size, self.sign_bit)

    def decode(self, data: bytes) -> int:
        return from_bytes(data[: self.size], self.sign_bit)


FIRMWARE_MAJOR: Final = Register("Firmware_Major_Version", 0)
FIRMWARE_MINOR: Final = Register("Firmware_Minor_Version", 1)
MODEL_NUMBER: Final = Register("Model_Number", 3, 2)
RETURN_DELAY_TIME: Final = Register("Return_Delay_Time", 7)
RESPONSE_STATUS_LEVEL: Final = Register("Response_Status_Level", 8)
MIN_POSITION_LIMIT: Final = Register("Min_Position_Limit", 9, 2)
MAX_POSITION_LIMIT: Final = Register("Max_Position_Limit", 11, 2)
MAX_TEMPERATURE_LIMIT: Final = Register("Max_Temperature_Limit", 13)
MAX_VOLTAGE_LIMIT: Final = Register("Max_Voltage_Limit", 14)
MIN_VOLTAGE_LIMIT: Final = Register("Min_Voltage_Limit", 15)
MAX_TORQUE_LIMIT: Final = Register("Max_Torque_Limit", 16, 2)
PHASE: Final = Register("Phase", 18)
P_COEFFICIENT: Final = Register("P_Coefficient", 21)
D_COEFFICIENT: Final = Register("D_Coefficient", 22)
I_COEFFICIENT: Final = Register("I_Coefficient", 23)
PROTECTION_CURRENT: Final = Register("Protection_Current", 28, 2)
HOMING_OFFSET: Final = Register("Homing_Offset", 31, 2, sign_bit=11)
OPERATING_MODE: Final = Register("Operating_Mode", 33)
OVERLOAD_TORQUE: Final = Register("Overload_Torque", 36)
TORQUE_ENABLE: Final = Register("Torque_Enable", 40)
ACCELERATION: Final = Register("Acceleration", 41)
GOAL_POSITION: Final = Register("Goal_Position", 42, 2, sign_bit=15)
GOAL_TIME: Final = Register("Goal_Time", 44, 2)
GOAL_VELOCITY: Final = Register("Goal_Velocity", 46, 2, sign_bit=15)
TORQUE_LIMIT: Final = Register("Torque_Limit", 48, 2)
LOCK: Final = Register("Lock", 55)
PRESENT_POSITION: Final = Register("Present_Position", 56, 2, sign_bit=15)
PRESENT_VELOCITY: Final = Register("Present_Velocity", 58, 2, sign_bit=15)
PRESENT_LOAD: Final = Register("Present_Load", 60, 2, sign_bit=10)
PRESENT_VOLTAGE: Final = Register("Present_Voltage", 62)
PRESENT_TEMPERATURE: Final = Register("Present_Temperature", 63)
MAXIMUM_ACCELERATION: Final = Register("Maximum_Acceleration", 85)

SENSED: Final = (TORQUE_ENABLE.address, PRESENT_TEMPERATURE.address + 1 - TORQUE_ENABLE.address)
"""Address and size of what one question tells of a servo at work: from torque and goal to voltage and temperature."""


def sensed(register: Register, params: bytes) -> int:
    """One register out of an answer to a question for `SENSED`."""
    return register.decode(params[register.address - SENSED[0] :])
