"""To which policy of a slot an answer belongs: with `--slo-mode degrade` a slot answers by two models at times.

The header names the slot's policy. Its variant with fewer denoising steps stands in no header: its answers are the
slot's all the same, for robots got them, and are counted apart. A policy that was replaced stood in a header itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from reflex.traces.reader import Entry
from reflex.traces.schema import RequestRecord

__all__ = ["Belonging", "SlotPolicies"]


@dataclass(frozen=True, slots=True)
class Belonging:
    """The policy of the slot that an answer counts for, as model version.

    `is_reduced`: its variant with fewer steps gave it. `is_replaced`: the slot has another policy by now.
    `policy_hash` is None where the header is not that of the policy.
    """

    policy: str
    is_reduced: bool = False
    is_replaced: bool = False
    policy_hash: str | None = None


class SlotPolicies:
    """Sees the requests of a recording in their order; remembers the policies that its headers named, by slot."""

    def __init__(self) -> None:
        self._named: dict[str, set[str]] = {}
        self._varied: dict[tuple[str, str], str] = {}

    def belonging(self, entry: Entry, request: RequestRecord) -> Belonging:
        """`entry` is that of `request`. What a policy was asked before it was replaced may come after the header."""
        header = entry.header.policies.get(request.slot)
        if header is None:
            return Belonging(request.policy)
        named = self._named.setdefault(request.slot, set())
        named.add(header.model_version)
        # As many steps and never named: no variant, but a policy whose header was damaged. An error has no steps.
        is_policy = request.policy in named or request.denoising_steps == header.denoising_steps
        variant = (request.slot, request.policy)
        policy = request.policy if is_policy else self._varied.setdefault(variant, header.model_version)
        is_replaced = policy in named and policy != header.model_version
        policy_hash = header.policy_hash if policy == header.model_version else None
        return Belonging(policy, is_reduced=not is_policy, is_replaced=is_replaced, policy_hash=policy_hash)
