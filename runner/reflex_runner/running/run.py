"""`run_from_config`: one `robot.yaml`, one run; with a control plane, as many as its session lets there be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

from reflex.connector import Connector
from reflex.connector.marks import EpisodeMarks
from reflex.control.opening import open_client
from reflex.errors import SetupError
from reflex_runner.config import RobotConfig, load_robot_config
from reflex_runner.config.environment import read_environment
from reflex_runner.config.sections import Mode
from reflex_runner.connectors.build import build_connector
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.motion.descent import StopCause
from reflex_runner.running.once import run_once
from reflex_runner.running.options import RunOptions, with_options
from reflex_runner.running.parts import Asked, BuildRobot
from reflex_runner.running.permit import why_not
from reflex_runner.running.reporting import Counts, OnHeartbeat, beating
from reflex_runner.session.robot_session import RobotSession, authorize
from reflex_runner.session.schema_limits import schema_of
from reflex_runner.session.strictest import strictest

__all__ = ["Outcome", "run", "run_file", "run_from_config"]

PLANE_S: Final = 10.0
"""For an answer of the control plane: a run that ends does not wait longer for one that is frozen."""
PROMOTED = StopCause("promoted", "the session was promoted; the run begins anew in apply_actions", "end")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, and what of it is left."""

    result: RunnerResult
    config: RobotConfig
    mode: Mode
    ended_by: StopCause | None
    recordings: tuple[Path, ...] = ()
    session_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The result of `reflex connect --json`."""
        told = self.result.as_dict()
        path = self.config.path
        return {
            "ok": told.pop("ok"),
            "config": None if path is None else str(path),
            **told,
            "mode": self.mode,
            "sessionId": self.session_id,
            "recordings": [str(each) for each in self.recordings],
        }


def run_from_config(
    path: str | PathLike[str],
    on_heartbeat: OnHeartbeat | None = None,
    *,
    options: RunOptions | None = None,
    episodes: EpisodeMarks | None = None,
) -> RunnerResult:
    """Run the robot of a `robot.yaml` until it is stopped; only where its mode is apply_actions does it move.

    `on_heartbeat` gets the numbers every `heartbeat_interval_s`: steps, appliedSteps, safeStops, errors, latencyMs.
    Raises `SetupError`, `PreflightError` and the control plane's errors for what cannot begin; what happens later is in
    the result.
    """
    options = options or RunOptions()
    return run_file(path, replace(options, episodes=episodes or options.episodes), on_heartbeat).result


def run_file(path: str | PathLike[str], options: RunOptions, on_heartbeat: OnHeartbeat | None = None) -> Outcome:
    """`run_from_config`, with all that is known of how it ended."""
    return run(load_robot_config(path), options, on_heartbeat)


def run(
    config: RobotConfig,
    options: RunOptions,
    on_heartbeat: OnHeartbeat | None = None,
    *,
    build_robot: BuildRobot | None = None,
) -> Outcome:
    """`run_from_config`, of settings that are read already; `build_robot` makes another robot than `hardware` says."""
    config = with_options(config, options)
    build = build_robot or _builder(config)
    counts = Counts()
    with ExitStack() as opened:
        opened.enter_context(beating(on_heartbeat, counts, config.session.heartbeat_interval_s))
        if config.session.deployment_id is None:
            key = options.api_key or read_environment().api_key
            asked = Asked(config, config.session.mode, build, api_key=key, replay=options.replay)
            return _once(asked, options, counts)
        if options.replay is not None:
            raise SetupError("a replay asks no policy, so it is no run of a deployment: leave deployment_id out")
        plane = opened.enter_context(open_client(options.api_key, convex_url=options.convex_url, deadline_s=PLANE_S))
        session = authorize(plane, config.session, config.session.mode)
        session.follow(counts.heartbeat, lambda: None)
        opened.enter_context(session)
        schema = schema_of(plane, config.session.deployment_id)
        wanted = Asked(config, config.session.mode, build, session, session.credential, schema)
        return _in_session(wanted, session, options, counts)


def _builder(config: RobotConfig) -> Callable[[], Connector]:
    folder = None if config.path is None else config.path.parent
    return lambda: build_connector(config.hardware.kind, config.hardware.settings, folder=folder)


def _in_session(wanted: Asked, session: RobotSession, options: RunOptions, counts: Counts) -> Outcome:
    """A dry run until it is promoted, where the settings want more; then the run that moves."""
    recordings: tuple[Path, ...] = ()
    while True:
        mode = strictest(wanted.mode, session.mode)
        outcome = _once(replace(wanted, mode=mode), options, counts, waits=mode != wanted.mode)
        recordings += outcome.recordings
        if outcome.ended_by is not PROMOTED:
            return replace(outcome, session_id=session.session_id, recordings=recordings)
        counts.next_run()


def _once(asked: Asked, options: RunOptions, counts: Counts, *, waits: bool = False) -> Outcome:
    """One run; `waits`: its session is in dry_run, and the run ends when somebody has promoted it."""
    stops = StopRequests()
    if waits and asked.session is not None:
        options.say(why_not(asked.session) or "")
        asked.session.follow(counts.heartbeat, lambda: _ask_again(asked, stops))
        _ask_again(asked, stops)
    done = run_once(asked, options, counts, stops)
    return Outcome(done.result, asked.config, asked.mode, done.ended_by, done.recordings)


def _ask_again(asked: Asked, stops: StopRequests) -> None:
    if asked.session is not None and asked.session.mode == "apply_actions":
        stops.request(PROMOTED)
