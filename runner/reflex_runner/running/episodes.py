"""`play_episodes`: a simulated robot is set to one beginning after the other, and each run from there is an episode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reflex.connector import Connector
from reflex.embodiments import Embodiment
from reflex.errors import SetupError
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.config.sections import RobotConfig
from reflex_runner.connectors.build import build_connector
from reflex_runner.loop.lockstep import run_in_steps
from reflex_runner.loop.run_session import run_session
from reflex_runner.loop.step_time import StepTime
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunnerResult, RunProblem, Tally
from reflex_runner.motion.descent import StopCause
from reflex_runner.page.watching import watched
from reflex_runner.preflight.robot_facts import facts_of
from reflex_runner.preflight.served import Served
from reflex_runner.recording.recorder import Recorder
from reflex_runner.running.attending import Attendant, EpisodePlan, PlayedEpisode, Unattended
from reflex_runner.running.environment import Environment, environment_of
from reflex_runner.running.judge import Judge
from reflex_runner.running.once import FILM
from reflex_runner.running.options import RunOptions, with_options
from reflex_runner.running.parts import (
    Asked,
    BuildRobot,
    Frames,
    frames_of,
    recorder_of,
    refuse_unfit,
    served_of,
    transport_of,
)
from reflex_runner.running.robot import robot_of, safety_of
from reflex_runner.running.same_policy import same_policy
from reflex_runner.tick import Listener

__all__ = ["MOST_STEPS", "STEPS_PER_CHUNK", "EpisodePlan", "Episodes", "PlayedEpisode", "play_episodes", "seeds_from"]

MOST_STEPS: Final = 300
"""Of an episode, where nobody says a number: ten seconds of the simulated arm."""
STEPS_PER_CHUNK: Final = 8
"""So many actions of each chunk are followed. A seam takes five: who asks in every step never gets out of them."""
OF_THE_POLICY: Final = ("clamped_steps", "non_finite_action", "stale_chunk")
"""Faults that end an episode as failed, and not what comes after it."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """How all of them went; `errors` are what kept the others from being played, or the recording from being whole."""

    config: RobotConfig
    played: tuple[PlayedEpisode, ...]
    asked: int
    recordings: tuple[Path, ...]
    errors: tuple[RunProblem, ...]
    ended_by: StopCause | None
    """Who ended them before their time."""

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(each.success is True for each in self.played)

    def as_json(self) -> dict[str, Any]:
        """The result of `reflex connect --episodes --json`."""
        return {
            "ok": not self.errors and self.ended_by is None,
            "config": None if self.config.path is None else str(self.config.path),
            "asked": self.asked, "played": len(self.played), "successes": self.successes,
            "errors": [{"code": error.code, "message": error.message} for error in self.errors],
            "recordings": [str(each) for each in self.recordings],
            "episodes": [each.as_json() for each in self.played],
        }  # fmt: skip


def seeds_from(config: RobotConfig, count: int) -> tuple[EpisodePlan, ...]:
    """So many plans, from the seed of the settings on."""
    first = config.hardware.settings.get("seed", 0)
    return tuple(EpisodePlan((first if isinstance(first, int) else 0) + index) for index in range(count))


def play_episodes(
    config: RobotConfig,
    plans: Sequence[EpisodePlan],
    options: RunOptions,
    *,
    build_robot: BuildRobot | None = None,
    steps_per_chunk: int = STEPS_PER_CHUNK,
    attendant: Attendant | None = None,
) -> Episodes:
    """One after the other, of at most `session.max_steps` each; all of them lie in one recording.

    A robot that is stepped goes as fast as it can, and `steps_per_chunk` actions of each chunk are followed; any other
    one goes in real time. `attendant` sees all of them, and may stand between robot and policy. Raises `SetupError` and
    `PreflightError` for what cannot begin.
    """
    config = with_options(config, options)
    _refuse_unplayable(config, options)
    folder = None if config.path is None else config.path.parent
    robot = build_connector(config.hardware.kind, config.hardware.settings, folder=folder) if build_robot is None else (
        build_robot()
    )  # fmt: skip
    series = _Series(config, options, environment_of(robot), steps_per_chunk, attendant or Unattended())
    with ExitStack() as opened:
        series.open(opened)
        for plan in plans:
            if not series.is_over:
                series.play(plan)
    return series.told(len(plans))


class _Series:
    """What all episodes share."""

    def __init__(
        self,
        config: RobotConfig,
        options: RunOptions,
        environment: Environment,
        steps_per_chunk: int,
        attendant: Attendant,
    ) -> None:
        self._config, self._options, self._attendant = config, options, attendant
        self._environment, self._steps_per_chunk = environment, steps_per_chunk
        self._connector: Connector = environment.connector
        self._asked = Asked(config, "apply_actions", lambda: self._connector, api_key=options.api_key)
        self._time = StepTime() if environment.is_stepped else None
        self._recorder: Recorder | None = None
        self._listeners: list[Listener] = [*options.listeners]
        self._robot: Embodiment
        self._frames: Frames | None = None
        self._served: Served | None = None
        self._played: list[PlayedEpisode] = []
        self._errors: list[RunProblem] = []
        self._ended_by: StopCause | None = None

    @property
    def is_over(self) -> bool:
        return bool(self._errors) or self._ended_by is not None

    def open(self, opened: ExitStack) -> None:
        facts, served = facts_of(self._config.hardware.kind, self._connector), served_of(self._asked)
        self._served = served
        refuse_unfit(self._config, facts, served)
        self._robot = robot_of(self._config, facts, served)
        clock = SYSTEM_CLOCK if self._time is None else self._time
        self._frames = frames = frames_of(self._connector, {}) if self._time is None else self._time.frames
        self._recorder = recorder_of(
            self._asked, self._robot, facts, served, frames, marked_episodes=True, now=clock.now
        )  # fmt: skip
        if self._recorder is not None:
            self._listeners.append(opened.enter_context(self._recorder))
        if self._options.view:
            film = None if self._recorder is None else self._recorder.folder / FILM
            seen = watched(
                self._robot, mode="apply_actions", frames=frames, film=film, say=self._options.say, clock=clock
            )  # fmt: skip
            self._listeners.append(opened.enter_context(seen))
        if self._time is not None:
            opened.callback(self._connector.stop)
            self._connector.start()

    def play(self, plan: EpisodePlan) -> None:
        self._environment.reset(plan.seed)
        instruction = plan.instruction or self._environment.instruction or self._config.session.instruction or ""
        stops, tally = StopRequests(), Tally()
        judge = Judge(self._connector, self._recorder, stops, self._config.session.max_steps or MOST_STEPS)
        judge.begin(instruction)
        self._attendant.began(plan, self._frames)
        try:
            result = self._run(plan, instruction, stops, tally, judge)
        finally:
            judge.end()
        cause = stops.cause or StopCause(*_first(result))
        self._played.append(PlayedEpisode(plan.seed, instruction, judge.success, cause.code, result))
        self._conclude(cause, result)
        if not self.is_over:
            self._attendant.ended(self._played[-1])
        self._options.say(_line(len(self._played), self._played[-1]))

    def _run(
        self, plan: EpisodePlan, instruction: str, stops: StopRequests, tally: Tally, judge: Judge
    ) -> RunnerResult:
        session = replace(self._config.session, instruction=instruction)
        target = self._config.target if plan.noise_seed is None else replace(self._config.target, seed=plan.noise_seed)
        asked = replace(self._asked, config=replace(self._config, session=session, target=target))
        transport = same_policy(transport_of(asked, self._connector, self._robot), self._served)
        transport = self._attendant.between(transport)
        safety, period_s = safety_of(self._config), session.control_period_s
        listeners = [*self._listeners, judge, self._attendant]
        if self._time is None:
            return run_session(
                self._connector, transport, None, "apply_actions", period_s, session.pipeline_inference,
                robot=self._robot, safety=safety, listeners=listeners, stops=stops, tally=tally,
            )  # fmt: skip
        return run_in_steps(
            self._connector, transport, robot=self._robot, safety=safety, time=self._time, stops=stops, tally=tally,
            period_s=period_s or 1 / self._robot.control_hz, listeners=listeners,
            steps_per_chunk=self._steps_per_chunk, patience_s=self._config.target.connect_timeout_s,
        )  # fmt: skip

    def _conclude(self, cause: StopCause, result: RunnerResult) -> None:
        if cause.kind == "operator":
            self._ended_by = cause
        self._errors += [] if cause.code in OF_THE_POLICY else list(result.errors)

    def told(self, asked: int) -> Episodes:
        recordings = () if self._recorder is None else self._recorder.folders
        return Episodes(
            self._config, tuple(self._played), asked, recordings, (*self._errors, *self._unrecorded()), self._ended_by
        )  # fmt: skip

    def _unrecorded(self) -> Iterator[RunProblem]:
        """A demonstration that is recorded in part is none."""
        recorder = self._recorder
        if recorder is not None and recorder.dropped:
            lost = ", ".join(f"{count} {what}" for what, count in recorder.dropped.items())
            yield RunProblem("recording_incomplete", f"the recording could not keep up, and lacks {lost}")
        for where, problem in ({} if recorder is None else recorder.problems).items():
            yield RunProblem("recording_incomplete", f"{where}: {problem}")


def _refuse_unplayable(config: RobotConfig, options: RunOptions) -> None:
    if config.session.mode != "apply_actions":
        raise SetupError(
            "session.mode: in dry_run nothing moves, so no episode can succeed; write `mode: apply_actions`"
        )
    if config.session.deployment_id is not None:
        raise SetupError("episodes of a simulator are no run of a deployment: leave deployment_id out")
    if options.replay is not None:
        raise SetupError("a recording that is replayed has its own beginning: leave --episodes or --replay out")
    if config.cameras:
        raise SetupError("cameras: an environment that is reset brings its own; leave the section out")


def _first(result: RunnerResult) -> tuple[str, str]:
    """What stopped a run that nobody asked to stop."""
    return (result.errors[0].code, result.errors[0].message) if result.errors else ("ended", "the run has ended")


def _line(number: int, episode: PlayedEpisode) -> str:
    went = {True: "success", False: "no success", None: "ended"}[episode.success]
    why = "" if episode.ended_by in ("success", "max_steps") else f" ({episode.ended_by})"
    return f"episode {number}, seed {episode.seed}: {went} after {episode.result.steps} steps{why}"
