"""What a silent or faulty servo means, and what to do: the words of the errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from reflex_runner.so101.errors import BusError, ServoError
from reflex_runner.so101.registers import IDS, named

__all__ = ["faults_in", "refuse_faults", "silence"]

VOLTAGE, ENCODER, TEMPERATURE, CURRENT, OVERLOAD = 1, 2, 4, 8, 32
KNOWN: Final[Mapping[int, tuple[str, str]]] = {
    VOLTAGE: (
        "a voltage outside of its limits",
        "look at the power supply (7.4 V servos burn at 12 V, 12 V ones do not run on 5 V) with `reflex so101 check`",
    ),
    ENCODER: ("a fault of its encoder", "switch the power off and on; if it stays, change the servo"),
    TEMPERATURE: ("that it is too hot", "switch the power off and let it cool down"),
    CURRENT: ("too high a current", "free the joint, then switch the power off and on"),
    OVERLOAD: (
        "an overload, and has gone limp",
        "free the joint and support the arm, then switch the power off and on, or begin a new run",
    ),
}
"""By bit of an answer's error. 0x10 is passed over: some firmware sets it while torque is on."""


def faults_in(error: int) -> list[int]:
    """The bits that mean a fault."""
    return [bit for bit in KNOWN if error & bit]


def refuse_faults(errors: Mapping[int, int], voltages: str = "") -> None:
    """`ServoError` for the motors of which a bit is set; `voltages` says what they measure."""
    faulty = {id_: faults for id_, error in errors.items() if (faults := faults_in(error))}
    if not faulty:
        return
    each = [_told(id_, bit, voltages) for id_, bits in faulty.items() for bit in bits]
    raise ServoError("; ".join(each), tuple(faulty))


def _told(id_: int, bit: int, voltages: str) -> str:
    what, advice = KNOWN[bit]
    measured = f" ({voltages})" if bit == VOLTAGE and voltages else ""
    return f"{named((id_,))} reports {what}{measured}: {advice}"


def silence(missing: Sequence[int], asked: Sequence[int], *, garbled: bool) -> BusError:
    """Who did not answer, and where to look."""
    if garbled:
        return BusError(
            f"the answers of {named(missing)} come garbled: two servos with one id, a loose plug, or another program "
            f"on the port; see to the cable {_cable_before(missing[0])}, and that no id is there twice",
            tuple(missing),
        )
    return BusError(f"{named(missing)} {'do' if len(missing) > 1 else 'does'} not answer: {_where(missing, asked)}",
                    tuple(missing))  # fmt: skip


def _where(missing: Sequence[int], asked: Sequence[int]) -> str:
    if tuple(missing) == IDS:
        return "switch the power supply of the servos on (USB does not feed them), and see to the cable to motor 1"
    if tuple(missing) == IDS[missing[0] - 1 :] or len(asked) == 1:
        return f"see to the cable {_cable_before(missing[0])}, and to the power supply"
    return "see to their plugs; a servo whose id was never set answers as motor 1"


def _cable_before(first: int) -> str:
    return "from the board to motor 1" if first == 1 else f"from motor {first - 1} to {first}"
