"""Whether a policy is one for this robot, with these cameras: each check looks at one policy that is served."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from reflex.embodiments import Embodiment, bundled_embodiments, load_embodiment
from reflex.errors import SetupError
from reflex.readiness.checking import Check, failed, passed, skipped, warned
from reflex.wording.guides import guide
from reflex_runner.config.sections import RobotConfig
from reflex_runner.motion.limits import AxisLimits, measured_axes, narrowed
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import ServedPolicy

__all__ = ["cameras", "embodiment", "instruction", "limits", "measured", "normalisation", "policy_checks", "rate",
           "safe_stop_declared", "simulation", "trained", "units"]  # fmt: skip

ANOTHER: Final = "serve a policy for this robot, or change hardware"


def policy_checks(policy: ServedPolicy, config: RobotConfig, robot: RobotFacts) -> list[Check]:
    """Everything that can be held against each other while the robot stands still."""
    return [
        simulation(policy, robot),
        embodiment(policy, robot),
        units(policy, robot),
        cameras(policy, config, robot),
        normalisation(policy),
        trained(policy, robot),
        instruction(policy, config),
        rate(policy, config),
        safe_stop_declared(policy),
        measured(policy),
        limits(policy, config),
    ]


def simulation(policy: ServedPolicy, robot: RobotFacts) -> Check:
    """A policy of a simulated arm moves no real one, and the other way round."""
    made_for = policy.embodiment
    if made_for.simulation and not robot.is_simulated:
        found = f"{policy.name} is for the simulator alone ({made_for.name}), and {robot.kind} is hardware"
        return failed("simulation", found, "serve a policy for the real robot, or use `hardware: {kind: sim}`")
    if robot.is_simulated and not made_for.simulation:
        found = f"{policy.name} is for a real {made_for.name}, and the robot is simulated"
        return failed("simulation", found, "serve a policy of a simulated embodiment, as so101_sim")
    return passed("simulation", "a simulated robot" if robot.is_simulated else "a real robot, and a policy for one")


def embodiment(policy: ServedPolicy, robot: RobotFacts) -> Check:
    """The axes of the policy are those of the robot."""
    if robot.embodiment is None:
        return skipped(
            "embodiment", f"{robot.kind} does not say what it is; the policy is for {policy.embodiment.name}"
        )
    if robot.embodiment == policy.embodiment.name:
        return passed("embodiment", f"both are {robot.embodiment}")
    own = load_embodiment(robot.embodiment) if robot.embodiment in bundled_embodiments() else None
    different = None if own is None else _difference(policy.embodiment, own)
    if own is not None and different is None:
        return passed("embodiment", f"{policy.embodiment.name} has the axes of {robot.embodiment}")
    found = f"{policy.name} is for {policy.embodiment.name}, and the robot is {robot.embodiment}"
    return failed("embodiment", f"{found}{f' ({different})' if different else ''}", ANOTHER)


def units(policy: ServedPolicy, robot: RobotFacts) -> Check:
    """A state in degrees must not be read as percent."""
    wanted = policy.embodiment.state_units
    if robot.units is None:
        return skipped("units", f"{robot.kind} does not say its units; the policy has {_listed(wanted)}")
    if robot.units == wanted:
        return passed("units", f"{_listed(wanted)} on both sides")
    found = f"the state of {policy.name} is in {_listed(wanted)}, and the robot's is in {_listed(robot.units)}"
    return failed("units", found, ANOTHER)


def cameras(policy: ServedPolicy, config: RobotConfig, robot: RobotFacts) -> Check:
    """Each that the policy needs is there under its name, and no other one is."""
    own = robot.cameras or ()
    there = [*config.cameras, *(name for name in own if name not in config.cameras)]
    missing = [name for name, required in policy.cameras.items() if required and name not in there]
    unknown = [name for name in there if name not in policy.cameras]
    if missing and robot.cameras is None and not unknown:
        return warned("cameras", f"{policy.name} needs {_listed(missing)}; {robot.kind} must bring it with its state")
    if missing:
        found = f"{policy.name} needs {_listed(missing)}, and there is {_listed(there) or 'no camera'}"
        return failed("cameras", found, _renaming(missing, unknown))
    if unknown:
        found = f"{policy.name} has no camera {_listed(unknown)}; it knows {_listed(policy.cameras)}"
        return failed("cameras", found, f"take {_listed(unknown)} out of cameras, or rename it")
    return passed("cameras", _listed(policy.cameras) or "none is needed")


def normalisation(policy: ServedPolicy) -> Check:
    """State and action are scaled by the statistics of the training."""
    if policy.oddities:
        return warned("normalisation", "; ".join(policy.oddities), f"export the policy again: see {guide('export')}")
    return passed("normalisation", "by the statistics of the training")


def trained(policy: ServedPolicy, robot: RobotFacts) -> Check:
    """What was never trained moves at random: a simulated arm may."""
    if policy.is_trained:
        return passed(
            "trained", f"{policy.name} is trained{', simulation only' if policy.embodiment.simulation else ''}"
        )
    if robot.is_simulated:
        return warned("trained", f"{policy.name} is untrained: the simulated arm moves, and does nothing useful")
    return warned("trained", f"{policy.name} is untrained: look at it in dry_run alone", "serve a trained policy")


def instruction(policy: ServedPolicy, config: RobotConfig) -> Check:
    """A policy that takes an instruction is told something."""
    told = config.session.instruction
    if policy.takes_instruction and not told:
        found = f"{policy.name} takes an instruction, and session.instruction is empty"
        return warned("instruction", found, "say what the robot is to do, unless its observations do")
    return passed("instruction", "said" if policy.takes_instruction else "the policy takes none")


def rate(policy: ServedPolicy, config: RobotConfig) -> Check:
    """The control loop is no slower than the actions of a chunk."""
    period_s, made_hz = config.session.control_period_s, policy.embodiment.control_hz
    if period_s is not None and period_s * made_hz > 1.0 + 1e-6:
        found = f"actions are {1 / made_hz:.3g} s apart, and session.control_period_s is {period_s:g}"
        return warned("rate", found, "leave control_period_s out: actions in between are passed over")
    return passed("rate", f"{made_hz if period_s is None else 1 / period_s:g} commands a second")


def safe_stop_declared(policy: ServedPolicy) -> Check:
    """Nothing moves that nobody has said how to stop."""
    ladder = policy.embodiment.stop_ladder
    if ladder is None:
        found = f"{policy.embodiment.name} does not say how it is stopped"
        return failed("safe_stop_declared", found, "give the embodiment a stop_ladder, and export for it")
    return passed("safe_stop_declared", " -> ".join(ladder.rungs))


def measured(policy: ServedPolicy) -> Check:
    """The first command begins where the robot is, so its state must say that of every axis."""
    try:
        measured_axes(policy.embodiment)
    except SetupError as exc:
        return failed("measured", str(exc), "serve a policy whose state has every action axis, in its unit")
    return passed("measured", "the state has every axis that is moved")


def limits(policy: ServedPolicy, config: RobotConfig) -> Check:
    """Those of the settings lie within the robot's own."""
    given = {axis: AxisLimits(each.low, each.high, each.max_step) for axis, each in config.safety.limits.items()}
    try:
        narrowed(policy.embodiment, given)
    except SetupError as exc:
        return failed("limits", str(exc), "correct safety.limits")
    return passed("limits", f"narrower for {_listed(given)}" if given else f"those of {policy.embodiment.name}")


def _difference(policy: Embodiment, robot: Embodiment) -> str | None:
    """The first thing in which the axes differ; limits are no such thing."""
    for what in ("state_names", "state_units", "action_names", "action_units"):
        wanted, found = getattr(policy, what), getattr(robot, what)
        if wanted != found:
            return f"{what} {_listed(wanted)}, not {_listed(found)}"
    return None


def _renaming(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """Which camera is probably meant: the one of the nearest name, or the only one that is left."""
    for name in missing:
        near = difflib.get_close_matches(name, unknown, n=1, cutoff=0.4) or (unknown if len(unknown) == 1 else [])
        if near:
            return f"rename cameras.{near[0]} to {name}"
    return f"add {_listed(missing)} to cameras"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
