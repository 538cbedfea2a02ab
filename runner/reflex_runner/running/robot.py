"""`robot_of`: the embodiment of a run, with the limits and the stop ladder that hold."""

from __future__ import annotations

from dataclasses import replace

from reflex.embodiments import Embodiment, StopLadder, bundled_embodiments, load_embodiment
from reflex.errors import SetupError
from reflex_runner.config.sections import RobotConfig, Rung, SafetyConfig
from reflex_runner.loop.run_session import Safety
from reflex_runner.motion.limits import AxisLimits, narrowed, within_all
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import Served

__all__ = ["robot_of", "safety_of"]


def robot_of(
    config: RobotConfig, facts: RobotFacts, served: Served | None, schema: Embodiment | None = None
) -> Embodiment:
    """What the robot is, held to what the policy, its schema and the settings allow."""
    policies = () if served is None else tuple(policy.embodiment for policy in served.policies)
    known = [*_own(facts), *policies, *([] if schema is None else [schema])]
    if not known:
        raise SetupError(
            "nobody says what the robot is: neither the server, nor the connector by an attribute `embodiment`, which "
            f"is one of {', '.join(bundled_embodiments())}, or an Embodiment"
        )
    robot = within_all(known[0], known[1:])
    limits = {axis: AxisLimits(each.low, each.high, each.max_step) for axis, each in config.safety.limits.items()}
    robot = narrowed(robot, limits)
    if config.safety.stop_ladder is None or robot.stop_ladder is None:
        return robot
    return replace(robot, stop_ladder=_shortened(robot.stop_ladder, config.safety.stop_ladder))


def safety_of(config: RobotConfig, schema: Embodiment | None = None) -> Safety:
    """What the loop is told of `safety` and of the cameras; a schema's times are never exceeded."""
    safety: SafetyConfig = config.safety
    times = None if schema is None else schema.stop_ladder
    return Safety(
        hold_after_ms=_earlier(safety.hold_after_ms, None if times is None else times.hold_after_ms),
        stop_after_ms=_earlier(safety.stop_after_ms, None if times is None else times.stop_after_ms),
        max_clamped_steps=safety.max_clamped_steps,
        ease_in_s=safety.ease_in_s,
        max_image_age_s={name: camera.max_image_age_ms / 1000 for name, camera in config.cameras.items()},
    )


def _earlier(own: int | None, schemas: int | None) -> int | None:
    given = [each for each in (own, schemas) if each is not None]
    return min(given) if given else None


def _own(facts: RobotFacts) -> list[Embodiment]:
    if isinstance(facts.details, Embodiment):
        return [facts.details]
    return [load_embodiment(facts.embodiment)] if facts.embodiment in bundled_embodiments() else []


def _shortened(own: StopLadder, wanted: tuple[Rung, ...]) -> StopLadder:
    """Rungs may be left out from the end: what goes less far is safer, and nothing is put before what holds."""
    if own.rungs[: len(wanted)] != wanted:
        raise SetupError(
            f"safety.stop_ladder: {', '.join(wanted)} is not how the robot's own begins ({', '.join(own.rungs)}); it "
            "can only be made shorter, from its end"
        )
    returns = "return_to_rest" in wanted
    return replace(
        own,
        rungs=wanted,
        rest_pose=own.rest_pose if returns else None,
        rest_speed=own.rest_speed if returns else None,
    )
