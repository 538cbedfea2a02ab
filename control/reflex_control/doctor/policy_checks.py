"""Whether the policy is registered, means something, and is what its export says: by every record that there is of it.

The record that was registered may say something else than the one that is served, so that each must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from reflex.readiness.checking import Check, failed, passed, skipped, warned, worst
from reflex_control.doctor.case import Case
from reflex_control.doctor.told import PolicyTold

__all__ = ["by_every_record", "model_registered", "normalisation", "parity", "trained"]

NORMALISED: Final = ("observation.state", "action")
EXPORT: Final = "reflex export CHECKPOINT --embodiment NAME"
TRAINED: Final = (
    f"{EXPORT}, of one that was trained; for simulated robots: reflex robots register-schema FILE --name NAME, with "
    "simulation: true in it"
)
COMPARE: Final = f"{EXPORT} --cases FOLDER; or see for yourself: reflex verify FOLDER --cases FOLDER"


def model_registered(case: Case) -> Check:
    """The model is known, whole, and in service."""
    model, registered = case.records.model, case.records.registered
    if model.revoked_at is not None:
        return failed("model_registered", f"{model.name} was revoked", case.records.deploy_again(model="ID"))
    if registered is None or registered.policy_hash != model.content_hash:
        found = f"{model.name} was registered without its whole reflex_config.json"
        return failed("model_registered", found, "reflex models register FOLDER, and deploy that one")
    return passed("model_registered", f"{model.name} is registered as {model.content_hash}")


def trained(case: Case) -> Check:
    """What means nothing moves nothing, and what was made for simulation moves nothing real."""
    is_simulated = case.records.schema is not None and case.records.schema.simulation

    def judged(policy: PolicyTold) -> Check:
        if not policy.trained and not is_simulated:
            return failed("trained", f"the policy is untrained, {policy.origin}: its actions mean nothing", TRAINED)
        if not policy.trained:
            return warned("trained", "the policy is untrained: it may move a simulated robot, to no purpose", EXPORT)
        if policy.embodiment is not None and policy.embodiment.simulation and not is_simulated:
            found = f"simulation only: the policy was made for {policy.embodiment.name}, which is no real robot"
            return failed("trained", found, f"{EXPORT}, of a policy for this robot")
        return passed("trained", "the policy is trained")

    return by_every_record(case, "trained", judged)


def parity(case: Case) -> Check:
    """The export computes what the reference implementation does."""

    def judged(policy: PolicyTold) -> Check:
        if policy.parity == "passed":
            return passed("parity", "the export was compared with the reference, and passed")
        if policy.parity == "failed":
            found = f"the export differs from the reference, {policy.origin}, and was published with --force"
            return failed("parity", found, f"{EXPORT} --cases FOLDER")
        return warned("parity", "the export was not compared with recorded cases", COMPARE)

    return by_every_record(case, "parity", judged)


def normalisation(case: Case) -> Check:
    """State and action are scaled by statistics of the training that fit this robot."""

    def judged(policy: PolicyTold) -> Check:
        modes = {each.feature: each.mode for each in policy.normalization}
        missing = [feature for feature in NORMALISED if feature not in modes]
        if missing:
            found = f"nothing says how {' and '.join(missing)} is normalised, {policy.origin}"
            return failed("normalisation", found, f"{EXPORT}, with this release")
        odd = list(_odd(policy))
        return (
            warned("normalisation", "; ".join(odd), EXPORT) if odd else passed("normalisation", "statistics are there")
        )

    return by_every_record(case, "normalisation", judged)


def _odd(policy: PolicyTold) -> Iterator[str]:
    for each in policy.normalization:
        if each.feature in NORMALISED and each.mode == "IDENTITY":
            yield f"{each.feature} is not normalised at all"
        if each.feature in NORMALISED and each.never_moved:
            axes = ", ".join(map(str, each.never_moved))
            yield f"{each.feature} had one value in all of training on entries {axes}"
    yield from (f"the export warned: {warning}" for warning in policy.warnings)


def by_every_record(case: Case, name: str, judge: Callable[[PolicyTold], Check]) -> Check:
    """The worst that any record of the policy makes of it."""
    if not case.policies:
        return skipped(name, "there is no record of the policy; see model_registered and act_reachable")
    return worst(map(judge, case.policies))
