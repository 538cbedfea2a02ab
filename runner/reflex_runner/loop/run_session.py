"""`run_session`: one run of a robot, from the first observation to the state in which it is left."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from reflex.connector import Connector
from reflex.embodiments import Embodiment
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.errors import code_of
from reflex_runner.loop.control_loop import ControlLoop
from reflex_runner.loop.hands import Hands, Mode, hands_for
from reflex_runner.loop.inference import Inference
from reflex_runner.loop.ports import Camera, Permit, Transport
from reflex_runner.loop.senses import Senses
from reflex_runner.loop.stopping import StopRequests, heard
from reflex_runner.loop.tally import RunnerResult, Tally
from reflex_runner.loop.telling import Telling
from reflex_runner.loop.watch_handle import parse_handle
from reflex_runner.loop.watchdog import Unwatched, Watch, Watchdog
from reflex_runner.motion.descent import StopCause
from reflex_runner.motion.pilot import Pilot
from reflex_runner.motion.settings import MotionSettings, ladder_of
from reflex_runner.tick import Listener

__all__ = ["Safety", "run_session"]

SWITCH_S: Final = 0.0005
"""How long a busy thread keeps Python from the control loop; the default of 5 ms is a sixth of a period at 30 Hz."""
JOIN_S: Final = 5.0
LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """The `safety` section of the settings, but for the limits, with which the embodiment is narrowed already."""

    hold_after_ms: int | None = None
    """None: as the embodiment's stop ladder says."""
    stop_after_ms: int | None = None
    max_clamped_steps: int = 30
    ease_in_s: float = 1.0
    begin_within_s: float = 60.0
    max_image_age_s: Mapping[str, float] = field(default_factory=dict)
    """By the name of the camera."""

    def motion(self, robot: Embodiment, period_s: float) -> MotionSettings:
        """What the pilot needs of it."""
        return MotionSettings(
            robot=robot, period_s=period_s, hold_after_ms=self.hold_after_ms, stop_after_ms=self.stop_after_ms,
            max_clamped_steps=self.max_clamped_steps, ease_in_s=self.ease_in_s, begin_within_s=self.begin_within_s,
        )  # fmt: skip


def run_session(
    connector: Connector,
    transport: Transport,
    cameras: Mapping[str, Camera] | None = None,
    mode: Mode = "dry_run",
    control_period_s: float | None = None,
    pipeline_inference: bool = True,  # noqa: FBT001, FBT002
    *,
    robot: Embodiment,
    safety: Safety | None = None,
    max_steps: int = 0,
    consent: Callable[[StopCause], bool] | None = None,
    listeners: Iterable[Listener] = (),
    permit: Permit | None = None,
    stops: StopRequests | None = None,
    tally: Tally | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> RunnerResult:
    """Run until something stops it, and bring the robot down its stop ladder then. Only apply_actions moves anything.

    `robot` has the limits that hold: the intersection of its own, the schema's, the policy's and the settings'.
    `consent` is asked after each stop for a fault whether the run goes on; without it the first one ends the run.
    `stops` and `tally` are for whoever wants to stop the run from outside, and to read its numbers meanwhile.
    Raises `SetupError` and `RunnerError` for what cannot begin; what happens later is in the result.
    """
    period_s = 1 / robot.control_hz if control_period_s is None else control_period_s
    run = _Run(
        connector, transport, dict(cameras or {}), hands_for(mode, connector, period_s), period_s, robot,
        safety or Safety(), stops or StopRequests(), tally or Tally(), Telling(listeners, clock), clock,
    )  # fmt: skip
    with ExitStack() as opened:
        run.open(opened, pipelined=pipeline_inference, max_steps=max_steps, permit=permit)
        opened.enter_context(heard(run.stops))
        opened.enter_context(_quick_threads())
        run.go_on(consent)
    return run.tally.result()


class _Run:
    """The parts of one run; `open` puts them together, and the stack takes them apart in the opposite order."""

    def __init__(
        self,
        connector: Connector,
        transport: Transport,
        cameras: Mapping[str, Camera],
        hands: Hands | None,
        period_s: float,
        robot: Embodiment,
        safety: Safety,
        stops: StopRequests,
        tally: Tally,
        telling: Telling,
        clock: Clock,
    ) -> None:
        self.connector, self.transport, self.cameras, self.hands = connector, transport, cameras, hands
        self.period_s, self.robot, self.safety = period_s, robot, safety
        self.stops, self.tally, self.telling, self.clock = stops, tally, telling, clock
        self.pilot = Pilot(safety.motion(robot, period_s), applies=hands is not None)
        self.control: ControlLoop
        self.senses: Senses
        self.inference: Inference

    def open(self, opened: ExitStack, *, pipelined: bool, max_steps: int, permit: Permit | None) -> None:
        opened.callback(self.telling.log)
        opened.callback(self._close, self.connector.stop, "closing the connector")
        self.connector.start()
        for name, camera in self.cameras.items():
            opened.callback(self._close, camera.stop, f"closing camera {name}")
            camera.start()
        self.senses = senses = Senses(
            self.connector.get_observation, self.cameras, self.robot, self.period_s, self.stops, self.clock
        )  # fmt: skip
        self.inference = inference = self._inference(senses, pipelined=pipelined)
        opened.callback(self._end_thread, senses.end, "the connector does not come back from get_observation")
        opened.callback(self._end_thread, inference.end, "the policy's connection does not come back")
        opened.callback(self._close, self.transport.close, "closing the connection to the policy")
        opened.callback(inference.ask_no_more)
        self.transport.open()
        watch = self._watched(opened)
        self.control = ControlLoop(
            self.pilot, self.hands, senses, inference, period_s=self.period_s, max_steps=max_steps, stops=self.stops,
            watch=watch, permit=permit, tally=self.tally, telling=self.telling, clock=self.clock,
        )  # fmt: skip
        senses.start()
        inference.start()

    def go_on(self, consent: Callable[[StopCause], bool] | None) -> None:
        """Until the robot is stopped, and nobody lets it go on."""
        self.control.start()
        try:
            cause = self._stopped()
            while consent is not None and cause is not None and self._goes_on(consent, cause):
                self.control.resume()
                cause = self._stopped()
        finally:
            self.stops.request(StopCause("internal", "the run has failed"))
            self._stopped()
            self.control.end()
            self.stops.conclude(self.control.cause)

    def _goes_on(self, consent: Callable[[StopCause], bool], cause: StopCause) -> bool:
        """After a fault, where somebody says so; what fails while they think is seen by looking again."""
        return cause.kind == "fault" and self._can_go_on() and self._asked(consent, cause) and self._can_go_on()

    def _can_go_on(self) -> bool:
        """Nobody has ended the run, and whoever commands, reads and asks is still there."""
        if self.stops.cause is not None and self.stops.cause.kind == "operator":
            return False
        is_whole = self.control.can_resume and not self.senses.is_ended and not self.inference.is_ended
        if not is_whole:
            self.telling.note("info", "not_resumable", "this run cannot go on: mend what failed, and begin a new one")
        return is_whole

    def _asked(self, consent: Callable[[StopCause], bool], cause: StopCause) -> bool:
        """Who ends the question instead of answering it says no."""
        self.stops.is_asking = True
        try:
            return consent(cause)
        except KeyboardInterrupt:
            return False
        finally:
            self.stops.is_asking = False

    def _stopped(self) -> StopCause | None:
        """Why, as soon as the robot is; looks again and again, for Python hears a signal only in between."""
        while not self.control.stopped.wait(LOOK_S):
            self.telling.log()
        self.telling.log()
        return self.control.cause

    def _inference(self, senses: Senses, *, pipelined: bool) -> Inference:
        return Inference(
            self.transport, senses, pipelined=pipelined, is_moving=lambda: self.pilot.is_moving,
            executed_steps=self.pilot.executed_steps, period_s=self.period_s,
            max_image_age_s=self.safety.max_image_age_s, stops=self.stops, tally=self.tally, telling=self.telling,
            clock=self.clock,
        )  # fmt: skip

    def _watched(self, opened: ExitStack) -> Watch:
        describe = getattr(self.connector, "watch_handle", None)
        if self.hands is None:
            return Unwatched()
        given = None if describe is None else describe()
        if given is None:
            self._warn_of_no_watchdog()
            return Unwatched()
        watchdog = Watchdog(parse_handle(given), ladder_of(self.robot), self.period_s)
        opened.callback(watchdog.dismiss)
        return watchdog

    def _warn_of_no_watchdog(self) -> None:
        if self.robot.simulation:
            return  # it ends with this process
        self.telling.note(
            "warning", "unwatched",
            "the connector has no watch_handle(): if this process is killed, nobody stops the robot",
        )  # fmt: skip

    def _close(self, close: Callable[[], object], what: str) -> None:
        """What fails while it is closed is an error of the run, and keeps nothing else open."""
        try:
            close()
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - somebody else's code; it is told
            self.tally.failed(code_of(exc, "close_failed"), f"{what} failed: {str(exc) or type(exc).__name__}")

    def _end_thread(self, end: Callable[[float], bool], trouble: str) -> None:
        if not end(JOIN_S):
            self.tally.failed("hangs", f"{trouble}: it is left behind")


@contextmanager
def _quick_threads() -> Iterator[None]:
    """Let the control loop have Python quickly: no garbage of the start is looked for, and busy threads give way."""
    before, freezes = sys.getswitchinterval(), gc.get_freeze_count() == 0
    sys.setswitchinterval(SWITCH_S)
    if freezes:
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        if freezes:
            gc.unfreeze()
