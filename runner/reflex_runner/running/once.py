"""One run: its robot, cameras, transport and recording are made, held against each other, and handed to the loop."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.connector import Connector
from reflex.connector.marks import EpisodeMarks
from reflex_runner.config.sections import RobotConfig
from reflex_runner.loop.run_session import run_session
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.motion.descent import StopCause
from reflex_runner.page.watching import watched
from reflex_runner.preflight.robot_facts import facts_of
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.replaying import Replay
from reflex_runner.running.consent import consent_of
from reflex_runner.running.instructed import instructed
from reflex_runner.running.judge import success_of
from reflex_runner.running.options import RunOptions
from reflex_runner.running.parts import (
    Asked,
    cameras_of,
    frames_of,
    problems_of,
    recorder_of,
    refuse_unfit,
    served_of,
    transport_of,
)
from reflex_runner.running.permit import SessionPermit
from reflex_runner.running.reporting import ChunkJudge, Counts, StopReporter
from reflex_runner.running.robot import robot_of, safety_of
from reflex_runner.running.same_policy import same_policy
from reflex_runner.tick import Listener
from reflex_runner.transports.transport import Transport

__all__ = ["FILM", "Done", "run_once"]

FILM: Final = "run.mp4"
"""In the folder of the recording."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    result: RunnerResult
    ended_by: StopCause | None
    recordings: tuple[Path, ...]


def run_once(asked: Asked, options: RunOptions, counts: Counts, stops: StopRequests) -> Done:
    """From the robot's settings to the state in which it is left."""
    config, session = asked.config, asked.session
    connector, marks = instructed(asked.build_robot(), options.episodes), options.episodes
    facts = facts_of(config.hardware.kind, connector)
    counts.calibration_id = facts.calibration_id
    served = served_of(asked)
    refuse_unfit(config, facts, served)
    robot = robot_of(config, facts, served, asked.schema)
    cameras = cameras_of(config)
    with ExitStack() as opened:
        frames = frames_of(connector, cameras)
        recorder = recorder_of(asked, robot, facts, served, frames, marked_episodes=marks is not None)
        listeners: list[Listener] = [*options.listeners]
        if recorder is not None:
            listeners.append(opened.enter_context(recorder))
        if recorder is not None and marks is not None:
            opened.enter_context(marks.told_to(recorder))
        if options.view:
            film = None if recorder is None else recorder.folder / FILM
            problems = problems_of(cameras)
            seen = watched(
                robot, mode=asked.mode, frames=frames, film=film, say=options.say, problems=problems
            )  # fmt: skip
            listeners.append(opened.enter_context(seen))
        if session is not None:
            listeners += [StopReporter(session, counts.tally), ChunkJudge(counts, robot.action_dim)]
        transport = same_policy(transport_of(asked, connector, robot, served), served)
        result = run_session(
            connector, transport, cameras, asked.mode, config.session.control_period_s,
            config.session.pipeline_inference, robot=robot, safety=safety_of(config, asked.schema),
            max_steps=_steps_of(config, transport), listeners=listeners, stops=stops, tally=counts.tally,
            consent=consent_of(asked.mode, options.consent, stop_on_error=config.session.stop_on_error),
            permit=None if session is None else SessionPermit(session),
        )  # fmt: skip
        _end_episode(connector, recorder, marks)
    return Done(result, stops.cause, () if recorder is None else recorder.folders)


def _end_episode(connector: Connector, recorder: Recorder | None, marks: EpisodeMarks | None) -> None:
    """A robot that knows whether it has succeeded says so of what is open when the run ends."""
    success = success_of(connector)
    if success is not None and marks is not None:
        marks.end(success)
    elif success is not None and recorder is not None:
        recorder.end_episode(success=success)


def _steps_of(config: RobotConfig, transport: Transport) -> int:
    """A replay ends with its recording, where nobody says a number."""
    return config.session.max_steps or (transport.steps if isinstance(transport, Replay) else 0)
