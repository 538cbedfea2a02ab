"""An `Attendant` is told of each episode, stands between robot and policy, and hears of none that was cut short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reflex.connector import CameraFrame
from reflex.errors import TransportError
from reflex_runner.config.sections import (
    HardwareConfig,
    RecordingConfig,
    RobotConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)
from reflex_runner.running.attending import EpisodePlan, PlayedEpisode, Unattended
from reflex_runner.running.episodes import Episodes, play_episodes
from reflex_runner.running.options import RunOptions
from reflex_runner.tick import Tick
from reflex_runner.transports.transport import Transport
from support.runner.reaching import Reaching

CONFIG = RobotConfig(
    hardware=HardwareConfig("arms:Reaching"),
    session=SessionConfig(mode="apply_actions", max_steps=40),
    target=TargetConfig(kind="expert", connect_timeout_s=0.2),
    safety=SafetyConfig(ease_in_s=0.1),
    recording=RecordingConfig().off(),
)


class Attending(Unattended):
    def __init__(self) -> None:
        self.told: list[str] = []
        self.seen: list[float] = []
        self.steps = 0
        self._frames: Callable[[], Mapping[str, CameraFrame]] = dict

    def began(self, plan: EpisodePlan, frames: Callable[[], Mapping[str, CameraFrame]] | None) -> None:
        self.told.append(f"began {plan.seed}")
        self._frames = frames or dict

    def between(self, transport: Transport) -> Transport:
        self.told.append("between")
        return transport

    def ticked(self, tick: Tick) -> None:
        self.steps += tick.kind == "move"
        image = self._frames()["front"].image
        assert not isinstance(image, bytes)
        self.seen.append(float(image.max()))

    def ended(self, episode: PlayedEpisode) -> None:
        self.told.append(f"ended {episode.seed} {episode.success}")


def played(arm: Any, attendant: Unattended, *seeds: int) -> Episodes:
    plans = [EpisodePlan(seed) for seed in seeds]
    return play_episodes(CONFIG, plans, RunOptions(), build_robot=lambda: arm, attendant=attendant)


def test_it_sees_every_episode_and_the_pictures_of_each_step() -> None:
    attending = Attending()
    went = played(Reaching(), attending, 5, 7)
    assert attending.told == ["began 5", "between", "ended 5 True", "began 7", "between", "ended 7 False"]
    assert attending.steps == sum(each.result.steps for each in went.played)
    assert set(attending.seen) == {1.0, 2.0}, "the pictures are those of their episode"


def test_it_hears_of_no_episode_that_a_server_has_left() -> None:
    arm, attending = Reaching(), Attending()

    def gone(_seq: int) -> None:
        if len(arm.seeds) == 2:
            raise TransportError("away")

    arm.fault = gone
    assert played(arm, attending, 5, 6, 8).errors
    assert attending.told[-3:] == ["ended 5 True", "began 6", "between"]


def test_one_that_does_nothing_changes_nothing() -> None:
    alone = play_episodes(CONFIG, [EpisodePlan(6)], RunOptions(), build_robot=Reaching).played[0]
    assert alone.result.steps == played(Reaching(), Unattended(), 6).played[0].result.steps
