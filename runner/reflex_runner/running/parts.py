"""The parts of a run, each made of what is asked for: what the server serves, cameras, transport and recording."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reflex.client.http import ApiKey
from reflex.connector import CameraFrame, Connector
from reflex.embodiments import Embodiment
from reflex.errors import ServiceError, SetupError, TransportError, UnauthorizedError
from reflex_runner.cameras.build import build_camera
from reflex_runner.cameras.camera import Camera
from reflex_runner.config.sections import Mode, RobotConfig, TargetConfig
from reflex_runner.preflight.policy_checks import policy_checks
from reflex_runner.preflight.refusal import refuse_failed
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import Served, look_at
from reflex_runner.recording.facts import PolicyFacts, RunFacts
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.replaying import Replay
from reflex_runner.session.robot_session import RobotSession
from reflex_runner.transports.build import build_transport
from reflex_runner.transports.several import SeveralServers
from reflex_runner.transports.transport import Transport

__all__ = ["Asked", "BuildRobot", "Frames", "cameras_of", "frames_of", "problems_of", "recorder_of",
           "refuse_unfit", "served_of", "transport_of"]  # fmt: skip

BuildRobot = Callable[[], Connector]
Frames = Callable[[], Mapping[str, CameraFrame]]
PAUSE_S: Final = 0.2
OTHER_S: Final = 0.5
"""How long another server of the deployment is waited for while the robot holds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be run."""

    config: RobotConfig
    mode: Mode
    build_robot: BuildRobot
    session: RobotSession | None = None
    api_key: ApiKey | None = field(default=None, repr=False)
    schema: Embodiment | None = None
    """Whose limits hold besides."""
    replay: Path | None = None
    """The recording that stands in for a policy."""

    @property
    def act_urls(self) -> tuple[str, ...]:
        """Of the session's deployment."""
        return () if self.session is None else self.session.act_urls

    @property
    def target(self) -> TargetConfig:
        """Where the settings name no server, the session's deployment does."""
        own = self.config.target
        return replace(own, url=self.session.act_url) if own.url is None and self.session is not None else own


def served_of(asked: Asked) -> Served | None:
    """What the server serves, as soon as it answers; None where there is no server of ours to ask."""
    target = asked.target
    if target.kind == "expert" or asked.replay is not None:
        return None
    ends_s = time.monotonic() + target.connect_timeout_s
    while True:
        left_s = max(PAUSE_S, ends_s - time.monotonic())
        try:
            return look_at(replace(target, connect_timeout_s=left_s), asked.api_key)
        except (TransportError, ServiceError) as exc:
            is_final = isinstance(exc, UnauthorizedError) or (isinstance(exc, ServiceError) and exc.status < 500)
            if is_final or time.monotonic() + PAUSE_S >= ends_s:
                raise
        time.sleep(PAUSE_S)


def refuse_unfit(config: RobotConfig, facts: RobotFacts, served: Served | None) -> None:
    """`PreflightError` says what of a policy that is served does not fit."""
    for policy in () if served is None else served.policies:
        refuse_failed(policy_checks(policy, config, facts))


def cameras_of(config: RobotConfig) -> dict[str, Camera]:
    """Those of the settings, by their names; none is started."""
    folder = None if config.path is None else config.path.parent
    return {
        name: build_camera(camera.kind, camera.as_settings(), name=name, folder=folder)
        for name, camera in config.cameras.items()
    }


def transport_of(asked: Asked, connector: Connector, robot: Embodiment, served: Served | None = None) -> Transport:
    """The way to whoever answers with actions: a server, a recording, or the simulator's expert; not open yet."""
    if asked.replay is not None:
        return Replay(asked.replay, robot)
    if asked.target.kind == "expert":
        expert = getattr(connector, "expert", None)
        if expert is None:
            raise SetupError("target.kind: the expert knows the simulator alone; use it with `hardware: {kind: sim}`")
        made: Transport = expert()
        return made
    others = () if served is None or asked.config.target.url is not None else asked.act_urls[1:]
    if not others:
        return _to_server(asked, asked.target, robot)
    quick = replace(asked.target, connect_timeout_s=min(OTHER_S, asked.target.connect_timeout_s))
    return SeveralServers(
        asked.act_urls,
        lambda url: _to_server(asked, replace(asked.target if url == asked.act_urls[0] else quick, url=url), robot),
        lambda url: _is_the_same(look_at(replace(quick, url=url), asked.api_key), served),
    )


def _to_server(asked: Asked, target: TargetConfig, robot: Embodiment) -> Transport:
    return build_transport(
        target.kind, target, instruction=asked.config.session.instruction or "", api_key=asked.api_key,
        control_hz=robot.control_hz,
    )  # fmt: skip


def _is_the_same(found: Served | None, served: Served | None) -> bool:
    """By the hashes of the policies; one without a hash is like no other."""
    hashes = [[] if each is None else [policy.policy_hash for policy in each.policies] for each in (found, served)]
    return hashes[0] == hashes[1] and bool(hashes[0]) and None not in hashes[0]


def recorder_of(
    asked: Asked,
    robot: Embodiment,
    facts: RobotFacts,
    served: Served | None,
    frames: Frames | None,
    *,
    marked_episodes: bool = False,
    now: Callable[[], float] = time.monotonic,
) -> Recorder | None:
    """None where nothing is recorded; `now` is the clock of the run."""
    config = asked.config
    if not config.recording.is_on:
        return None
    period_s = config.session.control_period_s
    return Recorder(
        config.recording.dir,
        RunFacts(
            robot, asked.mode, config.session.instruction or "", facts.kind,
            None if period_s is None else 1 / period_s, _policy(served), config.session.robot_id,
            config.session.deployment_id, None if asked.session is None else asked.session.session_id,
            facts.calibration_id,
        ),
        config.recording.formats,
        frames=frames,
        marked_episodes=marked_episodes,
        now=now,
    )  # fmt: skip


def _policy(served: Served | None) -> PolicyFacts:
    if served is None or not served.policies:
        return PolicyFacts()
    first = served.policies[0]
    return PolicyFacts(first.name, first.model_version, first.policy_hash)


def frames_of(connector: Connector, cameras: Mapping[str, Camera]) -> Frames | None:
    """The newest picture of each camera, at once; None where only observations have any."""
    own: Frames | None = getattr(connector, "frames", None)
    if own is None and not cameras:
        return None

    def newest() -> dict[str, CameraFrame]:
        latest = {name: camera.latest() for name, camera in cameras.items()}
        there = {name: frame for name, frame in latest.items() if frame is not None}
        return there if own is None else {**own(), **there}

    return newest


def problems_of(cameras: Mapping[str, Camera]) -> Callable[[], Mapping[str, str]]:
    """What is wrong with each camera of the settings, whenever it is asked for; nothing of those that work."""
    return lambda: {name: said for name, camera in cameras.items() if (said := camera.problem) is not None}
