"""`EvaluationSettings`: what is to be measured, and the run's settings that follow from it and from what is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from reflex.errors import SetupError
from reflex.wording.nouns import counted
from reflex_runner.config.sections import HardwareConfig, RobotConfig, SessionConfig, TargetConfig
from reflex_runner.evaluation.ablation import Ablation
from reflex_runner.preflight.served import Served, ServedPolicy
from reflex_runner.running.attending import EpisodePlan
from reflex_runner.running.episodes import MOST_STEPS, STEPS_PER_CHUNK

__all__ = [
    "LAST_SEED",
    "MOST_EPISODES",
    "EvaluationSettings",
    "Kind",
    "plans_of",
    "robot_for",
    "seeds_of",
]

Kind = Literal["act", "stream", "openpi", "expert"]
MOST_EPISODES: Final = 100_000
LAST_SEED: Final = 10**9
SEEDS_APART: Final = 1000
"""Chunks of one episode draw their noise from seeds of their own."""
WAIT_S: Final = 10.0
"""For an answer: the simulation stands still meanwhile."""
CONNECT_S: Final = 30.0
USUAL_PX: Final = 96
"""For a policy that takes pictures of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """None is what is not said."""

    seeds: Sequence[int]
    url: str | None = None
    against: str | None = None
    instruction: str | None = None
    ablations: tuple[Ablation, ...] = ()
    config: RobotConfig | None = None
    """A robot that can be set to a beginning; None: the simulated arm, with the cameras that the policy names."""
    kind: Kind | None = None
    is_raw: bool = False
    """Pictures reach the server as they are, to the bit, and not as JPEG."""
    steps_per_chunk: int = STEPS_PER_CHUNK
    max_steps: int | None = None
    picture_px: int | None = None
    """Width and height of the simulated arm's pictures; None: as the policy wants them, or of a usual size."""
    out: Path | None = None
    most_films: int = 20
    """Of failures of each evaluation."""
    api_key: str | None = field(default=None, repr=False)


def seeds_of(first: int, end: int | None, episodes: int | None, default_episodes: int) -> range:
    """From `first` on, before `end`, at most so many; `SetupError` for none, and for more than there are."""
    count = episodes if episodes is not None else default_episodes if end is None else end - first
    if end is not None and count > end - first:
        raise SetupError(f"--seeds: {first}:{end} are {counted(max(0, end - first), 'seed')}, fewer than {count}")
    if first < 0 or not 1 <= count <= MOST_EPISODES or first + count > LAST_SEED:
        raise SetupError(f"--seeds: give 1 to {MOST_EPISODES:,} seeds from 0 to {LAST_SEED - 1:,}, like 10000:10200")
    return range(first, first + count)


def robot_for(settings: EvaluationSettings, url: str | None, served: Served | None) -> RobotConfig:
    """The settings of the episodes that the server at `url` is asked for."""
    config = settings.config or _simulated(settings, served)
    target = replace(config.target, kind=settings.kind or config.target.kind, url=url or config.target.url)
    session = replace(
        config.session,
        max_steps=settings.max_steps or config.session.max_steps or MOST_STEPS,
        instruction=config.session.instruction if settings.instruction is None else settings.instruction,
    )
    return replace(config, target=target, session=session, recording=config.recording.off())


def plans_of(settings: EvaluationSettings, *, is_seeded: bool) -> tuple[EpisodePlan, ...]:
    """One for each seed; `is_seeded` has the server draw each chunk's noise from a seed of its own."""
    return tuple(
        EpisodePlan(seed, settings.instruction, seed * SEEDS_APART if is_seeded else None) for seed in settings.seeds
    )


def _simulated(settings: EvaluationSettings, served: Served | None) -> RobotConfig:
    policy = None if served is None or not served.policies else served.policies[0]
    cameras = {name: "wrist" if "wrist" in name.lower() else "front" for name in (policy.cameras if policy else ())}
    height, width = _picture_size(settings, policy)
    own = {"realtime": False, "width": width, "height": height, **({"cameras": cameras} if cameras else {})}
    return RobotConfig(
        hardware=HardwareConfig("sim", own),
        session=SessionConfig(mode="apply_actions"),
        target=TargetConfig(timeout_s=WAIT_S, connect_timeout_s=CONNECT_S),
    )


def _picture_size(settings: EvaluationSettings, policy: ServedPolicy | None) -> tuple[int, int]:
    if settings.picture_px is None and policy is not None and policy.picture_size is not None:
        return policy.picture_size
    side = settings.picture_px or USUAL_PX
    return side, side
