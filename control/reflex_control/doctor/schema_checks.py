"""Whether the policy and the robot's schema mean the same: dimensions, units, cameras and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reflex.embodiments import Embodiment
from reflex.readiness.checking import Check, failed, passed, skipped, warned, worst
from reflex.robot_schema import RobotSchema, disagreements
from reflex_control.doctor.case import Case
from reflex_control.doctor.policy_checks import by_every_record
from reflex_control.doctor.told import PolicyTold

__all__ = ["action_dim", "cameras", "limits", "safe_stop_declared", "schema_bound", "state_dim", "units"]

NO_SCHEMA = "no robot schema is bound; see schema_bound"


def schema_bound(case: Case) -> Check:
    """The deployment says for which robots it is."""
    row, schema = case.records.schema_row, case.records.schema
    if row is None:
        found = "the deployment names no robot schema, so nothing says what its robots are"
        return failed("schema_bound", found, case.records.deploy_again())
    if schema is None:
        fix = "reflex robots register-schema FILE --name NAME, and deploy for that one"
        return failed("schema_bound", f"its robot schema is not read any more: {case.records.schema_fault}", fix)
    return passed("schema_bound", f"it is for robots of the schema {row.name}")


def state_dim(case: Case) -> Check:
    """As many values in a state as the policy takes."""
    return _dimension(case, "state_dim", lambda policy: policy.state_dim, lambda robot: robot.state_dim)


def action_dim(case: Case) -> Check:
    """As many values in an action as the robot has axes."""
    return _dimension(case, "action_dim", lambda policy: policy.action_dim, lambda robot: robot.action_dim)


def _dimension(
    case: Case, name: str, of_policy: Callable[[PolicyTold], int], of_robot: Callable[[Embodiment], int]
) -> Check:
    def judged(policy: PolicyTold, schema: RobotSchema) -> Check:
        policys, robots = of_policy(policy), of_robot(schema.embodiment)
        if policys == robots:
            return passed(name, f"{robots}, in the policy and on the robot")
        return failed(name, f"{policys} in the policy, {policy.origin}, and {robots} on the robot", _another(case))

    return _against_schema(case, name, judged)


def units(case: Case) -> Check:
    """Names, units and zeros of every axis are the same."""

    def judged(policy: PolicyTold, schema: RobotSchema) -> Check:
        if policy.embodiment is None:
            return skipped("units", "no frontend has told the policy's axes; see act_reachable")
        found = disagreements(schema, policy.embodiment)
        if not found:
            return passed("units", "every axis has the same name, unit and zero in the policy and on the robot")
        return failed("units", "; ".join(found), _another(case))

    return _against_schema(case, "units", judged)


def cameras(case: Case) -> Check:
    """Every camera that the policy cannot do without is on the robot."""

    def judged(policy: PolicyTold, schema: RobotSchema) -> Check:
        fitted = {camera.name: camera.required for camera in schema.cameras}
        needed = [camera.name for camera in policy.cameras if camera.required]
        missing = [name for name in needed if name not in fitted]
        if missing:
            has = ", ".join(fitted) or "none"
            found = f"the policy needs {', '.join(missing)}, and the robot's schema has {has}"
            fix = (
                "reflex robots register-schema FILE --name NAME, with the policy's names of cameras, and deploy for it"
            )
            return failed("cameras", found, fix)
        loose = [name for name in needed if not fitted[name]]
        if loose:
            found = f"the policy needs {', '.join(loose)}, which may be missing on the robot"
            return warned("cameras", found, "reflex robots register-schema FILE --name NAME, with that camera required")
        return passed("cameras", f"the robot has what the policy needs: {', '.join(needed) or 'none'}")

    return _against_schema(case, "cameras", judged)


def limits(case: Case) -> Check:
    """The guard of each frontend is on, and lets nothing through that the robot's own limits would not."""
    unguarded = [seen.url for seen in case.sightings if seen.health is not None and not seen.health.guard_active]
    if unguarded:
        return failed("limits", f"the guard of {unguarded[0]} is off", "serve without --no-guard there: reflex serve")

    def judged(policy: PolicyTold, schema: RobotSchema) -> Check:
        if policy.embodiment is None:
            return skipped("limits", "no frontend has told its limits; see act_reachable")
        wider = list(_wider(policy.embodiment, schema.embodiment))
        if not wider and not (case.sightings and all(seen.policy is not None for seen in case.sightings)):
            return skipped("limits", "not every frontend has told its limits; see act_reachable")
        if not wider:
            return passed("limits", "the limits that the guard holds lie within the robot's own")
        fix = "reflex export CHECKPOINT --embodiment FILE, a file with the limits of the robot's schema"
        return failed("limits", "; ".join(wider), fix)

    return _against_schema(case, "limits", judged)


def safe_stop_declared(case: Case) -> Check:
    """The schema says how the robot is stopped."""
    schema = case.records.schema
    if schema is None:
        return skipped("safe_stop_declared", NO_SCHEMA)
    stop = schema.safe_stop
    held, stopped, ladder = stop.hold_after_ms, stop.stop_after_ms, ", ".join(stop.ladder)
    return passed("safe_stop_declared", f"without a chunk: hold after {held} ms, after {stopped} ms {ladder}")


def _wider(policy: Embodiment, robot: Embodiment) -> Iterator[str]:
    """Axes of other names or units are for `units` to tell."""
    own = {
        (name, unit): (low, high, step)
        for name, unit, low, high, step in zip(
            robot.action_names, robot.action_units, robot.action_low, robot.action_high, robot.action_max_step,
            strict=True,
        )
    }  # fmt: skip
    for name, unit, low, high, step in zip(
        policy.action_names, policy.action_units, policy.action_low, policy.action_high, policy.action_max_step,
        strict=True,
    ):  # fmt: skip
        robots_low, robots_high, robots_step = own.get((name, unit), (low, high, step))
        if low < robots_low or high > robots_high:
            yield f"{name} may go from {low:g} to {high:g} {unit}, on the robot from {robots_low:g} to {robots_high:g}"
        if step > robots_step:
            yield f"{name} may move {step:g} {unit} a step, on the robot {robots_step:g}"
    if policy.control_hz != robot.control_hz:
        yield f"the policy's actions are for {policy.control_hz:g} a second, and the robot does {robot.control_hz:g}"


def _against_schema(case: Case, name: str, judge: Callable[[PolicyTold, RobotSchema], Check]) -> Check:
    schema = case.records.schema
    if schema is None:
        return skipped(name, NO_SCHEMA)
    if name in ("units", "limits") and any(policy.embodiment is not None for policy in case.policies):
        told = [judge(policy, schema) for policy in case.policies if policy.embodiment is not None]
        return worst(told)
    return by_every_record(case, name, lambda policy: judge(policy, schema))


def _another(case: Case) -> str:
    return f"deploy a policy that was exported for this robot: {case.records.deploy_again(model='ID')}"
