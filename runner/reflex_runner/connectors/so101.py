"""`hardware.kind: so101`: an SO-101 on its serial bus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from reflex.connector import ActionChunk, Observation
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.config.strict import parse_section
from reflex_runner.so101.bus import RETRIES, Bus, Counts
from reflex_runner.so101.calibration import read_calibration
from reflex_runner.so101.errors import ServoError, SO101Error
from reflex_runner.so101.examination import Examination, examine
from reflex_runner.so101.faults import refuse_faults
from reflex_runner.so101.frame import Status
from reflex_runner.so101.holding import hold, refuse_outside, release, take_hold
from reflex_runner.so101.line import Line, open_line
from reflex_runner.so101.places import Places
from reflex_runner.so101.preparing import Change, changes_wanted, make_changes
from reflex_runner.so101.registers import (
    GOAL_POSITION,
    IDS,
    MOTORS,
    PRESENT_POSITION,
    PRESENT_VOLTAGE,
    SENSED,
    TORQUE_ENABLE,
    named,
    sensed,
)
from reflex_runner.so101.search import find_port
from reflex_runner.so101.units import Unit, scale_for

__all__ = ["SO101", "SO101Settings", "build"]


@dataclass(frozen=True, slots=True)
class SO101Settings:
    """The keys of `hardware` beside `kind`."""

    port: str | None = None
    """The serial port; `REFLEX_SO101_PORT` goes before it, and without either it is looked for."""
    id: str | None = None
    """What LeRobot calls this arm: the name of its calibration file. The only one needs none."""
    calibration: Path | None = None
    """That file, where it is elsewhere."""
    embodiment: str = "so101"
    """`so101` is in degrees, `so101_percent` in percent of half the range."""
    units: Unit | None = None
    """Must agree with the embodiment, where it is given."""
    retries: Annotated[int, Field(ge=0, le=20)] = RETRIES
    """How often a question is asked again that was not answered whole."""


def build(cfg: Mapping[str, Any]) -> SO101:
    """The arm of these settings. `SetupError` or `CalibrationError` says what is wrong with them."""
    return SO101(parse_section(SO101Settings, cfg, "hardware"))


class SO101:
    """The arm as a connector. Torque goes on at the first `apply_action`, and off only by `release`."""

    def __init__(
        self,
        settings: SO101Settings,
        *,
        places: Places | None = None,
        open_port: Callable[[str], Line] = open_line,
        clock: Clock = SYSTEM_CLOCK,
        answer_within_s: float | None = None,
    ) -> None:
        self._settings, self._open_port, self._clock = settings, open_port, clock
        self._answer_within_s = answer_within_s
        self._places = Places.here() if places is None else places
        calibration = settings.calibration or self._places.calibration(settings.id)
        self._calibration = read_calibration(calibration)
        self._scale, embodiment = scale_for(settings.embodiment, self._calibration, settings.units)
        self.embodiment = embodiment.name
        self.units = embodiment.state_units
        self.calibration_id = self._calibration.calibration_id
        self.port: str | None = None
        self._bus: Bus | None = None
        self._examined: Examination | None = None
        self._changes: Sequence[Change] = ()
        self._has_torque = False
        self._taking_hold = threading.Lock()
        self.calibration_file = calibration

    @property
    def counts(self) -> Counts:
        """What the bus has seen: questions, and how many had to be asked again."""
        return Counts() if self._bus is None else self._bus.counts

    def start(self) -> None:
        """Open the port, and read whether this is the arm of the calibration, well and complete. Nothing is written."""
        self.port = self._places.port or self._settings.port or find_port()
        self._bus = Bus(
            self._open_port(self.port),
            clock=self._clock,
            answer_within_s=self._answer_within_s,
            retries=self._settings.retries,
        )
        self._examined = examine(self._bus, self._calibration)
        if self._examined.problems:
            raise self._examined.problems[0]
        self._changes = changes_wanted(self._bus)

    def get_observation(self) -> Observation:
        """The joints' positions. `BusError` for a silent motor, `ServoError` for one with a fault or without torque."""
        had_torque, began_s = self._has_torque, self._clock.now()
        answers = self._opened().read_all(*SENSED)
        captured_s = (began_s + self._clock.now()) / 2
        refuse_faults({id_: answer.error for id_, answer in answers.items()}, _voltages(answers))
        if had_torque and self._has_torque:
            _refuse_limp(answers)
        state = self._scale.state([sensed(PRESENT_POSITION, answers[id_].params) for id_ in IDS])
        return Observation(state, captured_s=captured_s)

    def apply_action(self, chunk: ActionChunk) -> None:
        """Send one command. The first one puts the torque on before, which takes some hundredths of a second."""
        if len(chunk.actions) != 1:
            raise SO101Error(f"an SO-101 takes one action at a time, not {len(chunk.actions)}; `step_s` is the loop's")
        try:
            steps = self._scale.steps(chunk.actions[0])
        except ValueError as exc:
            raise SO101Error(str(exc)) from exc
        bus = self._opened()
        if not self._has_torque:
            self._take_hold(bus)
        bus.write_all(GOAL_POSITION, dict(zip(IDS, steps, strict=True)))

    def safe_stop(self, reason: str = "") -> None:  # noqa: ARG002  # the protocol's
        """Hold where the arm is. A motor without torque gets none."""
        if self._bus is not None:
            hold(self._bus)

    def release(self) -> None:
        """Torque off: the arm falls, unless it lies. Goes on whatever some of the servos say."""
        self._has_torque = False
        release(self._opened())

    def watch_handle(self) -> dict[str, Any]:
        """How another process stops this arm when this one cannot: by the port, past its lock."""
        arguments = {
            "port": self.port,
            "retries": self._settings.retries,
            "answer_within_s": self._answer_within_s,
        }
        return {"function": "reflex_runner.so101.rescue:stop_arm", "arguments": arguments, "rungs": ["hold", "release"]}

    def stop(self) -> None:
        """Close the port. What had torque keeps it, and its last goal."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def _take_hold(self, bus: Bus) -> None:
        with self._taking_hold:
            make_changes(bus, self._changes)
            self._changes = ()
            refuse_outside(bus, self._calibration.joints)
            take_hold(bus)
            self._has_torque = True

    def _opened(self) -> Bus:
        if self._bus is None:
            raise SO101Error("the arm's port is not open: call start() first")
        return self._bus


def _voltages(answers: Mapping[int, Status]) -> str:
    return ", ".join(f"{MOTORS[id_]} {sensed(PRESENT_VOLTAGE, one.params) / 10:.1f} V" for id_, one in answers.items())


def _refuse_limp(answers: Mapping[int, Status]) -> None:
    limp = [id_ for id_, answer in answers.items() if sensed(TORQUE_ENABLE, answer.params) != 1]
    if limp:
        raise ServoError(
            f"{named(limp)} has lost its torque: its power dropped for a moment, or another program took it off; see "
            "to the power supply and its plugs, and begin a new run",
            tuple(limp),
        )
