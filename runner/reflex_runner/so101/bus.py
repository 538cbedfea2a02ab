"""Asking servos and commanding them: bounded tries, a deadline for each answer, and errors that name the motor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.so101 import frame
from reflex_runner.so101.faults import refuse_faults, silence
from reflex_runner.so101.frame import OVERHEAD, Status, take_status
from reflex_runner.so101.line import BAUD, Line
from reflex_runner.so101.registers import IDS, Register
from reflex_runner.so101.turns import Turns

__all__ = ["RETRIES", "Bus", "Counts"]

ANSWER_WITHIN_S: Final = 0.025
"""After the last bit: an FTDI adapter holds bytes back for 16 ms, a CH343 for one."""
TO_THE_WIRE_S: Final = 0.0008
"""Until the adapter sends what was written, by the tick of USB, and the servos begin to answer."""
RETRIES: Final = 3
BITS_A_BYTE: Final = 10


@dataclass(slots=True)
class Counts:
    """What the bus has seen since it was opened."""

    questions: int = 0
    retries: int = 0
    """Questions that were asked again, since not all answers came, or not as they were sent."""
    failures: int = 0
    """Questions that stayed without all answers."""


class Bus:
    """The servos of one line. Any thread may call; commands do not wait for answers.

    `BusError` when servos stay silent through `retries` more tries, or their answers garbled. Faults that a servo
    reports of itself are a `ServoError` of `read` and `write`; `read_all` hands them over.
    """

    def __init__(
        self,
        line: Line,
        *,
        clock: Clock = SYSTEM_CLOCK,
        answer_within_s: float | None = None,
        retries: int = RETRIES,
    ) -> None:
        self._line, self._clock, self._turns = line, clock, Turns(clock)
        self._answer_within_s = ANSWER_WITHIN_S if answer_within_s is None else answer_within_s
        self._retries = retries
        self.counts = Counts()
        self._late = _Late()

    def present(self, ids: Sequence[int] = IDS) -> tuple[int, ...]:
        """Those that answer a ping."""
        return tuple(id_ for id_ in ids if self._gather(_Question((id_,), ("ping", 0, 0), 0))[0])

    def read(self, id_: int, register: Register) -> int:
        """One servo's register."""
        status = self._answers(_Question((id_,), ("read", register.address, register.size), register.size))[id_]
        refuse_faults({id_: status.error})
        return register.decode(status.params)

    def write(self, id_: int, register: Register, value: int) -> None:
        """One servo's register; returns when the servo has said that it took it."""
        data = register.encode(value)
        status = self._answers(_Question((id_,), ("write", register.address, value), 0, data))[id_]
        refuse_faults({id_: status.error})

    def read_all(self, address: int, size: int, ids: Sequence[int] = IDS) -> dict[int, Status]:
        """`size` bytes of each, by one question; who does not answer is asked again, alone."""
        return self._answers(_Question(ids, ("sync read", address, size), size))

    def read_some(
        self, address: int, size: int, ids: Sequence[int] = IDS, *, retries: int | None = None
    ) -> dict[int, Status]:
        """As `read_all`, but only of those that answer."""
        return self._gather(_Question(ids, ("sync read", address, size), size), retries)[0]

    def values(self, register: Register, ids: Sequence[int] = IDS) -> dict[int, int]:
        """One register of each, whatever faults they report."""
        answers = self.read_all(register.address, register.size, ids)
        return {id_: register.decode(status.params) for id_, status in answers.items()}

    def write_all(self, register: Register, values: Mapping[int, int]) -> None:
        """One command for all of them, which no servo answers; goes before questions that wait."""
        data = {id_: register.encode(value) for id_, value in values.items()}
        with self._turns.command():
            self._line.write(frame.sync_write(register.address, register.size, data))

    def close(self) -> None:
        self._line.close()

    def _answers(self, question: _Question) -> dict[int, Status]:
        ids = question.ids
        found, garbled = self._gather(question)
        if len(found) < len(ids):
            self.counts.failures += 1
            raise silence([id_ for id_ in ids if id_ not in found], ids, garbled=garbled)
        return {id_: found[id_] for id_ in ids}

    def _gather(self, question: _Question, retries: int | None = None) -> tuple[dict[int, Status], bool]:
        """What answers came, and whether something else was heard in the last try."""
        found: dict[int, Status] = {}
        garbled = False
        self.counts.questions += 1
        for attempt in range(1 + (self._retries if retries is None else retries)):
            missing = [id_ for id_ in question.ids if id_ not in found]
            if not missing:
                break
            self.counts.retries += attempt > 0
            came, garbled = self._ask(question, missing, attempt)
            found |= came
        return found, garbled

    def _ask(self, question: _Question, ids: Sequence[int], attempt: int) -> tuple[dict[int, Status], bool]:
        request = question.packet(ids)
        wire_s = (len(request) + len(ids) * (question.size + OVERHEAD)) * BITS_A_BYTE / BAUD
        patience_s = self._answer_within_s + wire_s
        with self._turns.question() as be_quiet_in:
            self._late.wait_out(question.what, self._clock, self._line)
            self._line.drop_input()
            self._line.write(request)
            be_quiet_in(wire_s + TO_THE_WIRE_S)
            self._late.sent_s = self._clock.now()
            found, heard = self._listen(ids, question.size, patience_s)
            if len(found) < len(ids):
                self._late.expect(question.what, (attempt + 2) * patience_s)
        return found, heard > len(found) * (question.size + OVERHEAD)

    def _listen(self, ids: Sequence[int], size: int, patience_s: float) -> tuple[dict[int, Status], int]:
        """What came, and how many bytes were heard. What lies there when the time is over is still taken."""
        found: dict[int, Status] = {}
        buffer, heard, left_s = bytearray(), 0, patience_s
        until_s = self._clock.now() + patience_s
        while len(found) < len(ids) and left_s > 0:
            left_s = until_s - self._clock.now()
            piece = self._line.read(max(0.0, left_s))
            heard += len(piece)
            buffer += piece
            while (status := take_status(buffer, size)) is not None:
                if status.id in ids:
                    found[status.id] = status
        return found, heard


@dataclass(slots=True)
class _Late:
    """Answers that did not come in their time, and may still: an answer does not say what was asked, nor when."""

    what: tuple[str, int, int] | None = None
    by_s: float = 0.0
    """How late they are at most: an answer to the question before would have been taken."""
    sent_s: float = 0.0
    """When the last question was asked."""

    def expect(self, what: tuple[str, int, int], by_s: float) -> None:
        self.what, self.by_s = what, max(self.by_s, by_s)

    def wait_out(self, what: tuple[str, int, int], clock: Clock, line: Line) -> None:
        """Before something else is asked. One more question for the same may be answered by them."""
        if self.what in (None, what):
            return
        while (left_s := self.sent_s + self.by_s - clock.now()) > 0:
            line.read(left_s)
        self.what, self.by_s = None, 0.0


@dataclass(frozen=True, slots=True)
class _Question:
    """`what` is asked: the instruction, its address, and its size or value. Answers have `size` bytes of parameters."""

    ids: Sequence[int]
    what: tuple[str, int, int]
    size: int
    data: bytes = b""

    def packet(self, ids: Sequence[int]) -> bytes:
        instruction, address, size = self.what
        if instruction == "sync read":
            return frame.sync_read(ids, address, size)
        if instruction == "read":
            return frame.read(ids[0], address, size)
        return frame.write(ids[0], address, self.data) if instruction == "write" else frame.ping(ids[0])
