"""Which policies a server loads, and whether they can stand in for each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig
from reflex.wire import SlotName
from reflex_frontend.policy.policy import ServedPolicy, load_policy
from reflex_frontend.policy.variants import needed_variants
from reflex_frontend.settings import Settings

__all__ = ["PolicySet", "check_interchangeable", "load_policy_set"]

COMPARED: Final = ("embodiment", "state_dim", "action_dim", "cameras")


@dataclass(frozen=True)
class PolicySet:
    """Everything that is loaded at the start. `variants` have fewer steps, by the slot whose policy they are of."""

    slots: Mapping[SlotName, ServedPolicy]
    variants: Mapping[SlotName, Sequence[ServedPolicy]]
    shadow: ServedPolicy | None

    @property
    def answering(self) -> list[ServedPolicy]:
        """Whatever may answer a robot."""
        return [*self.slots.values(), *(variant for several in self.variants.values() for variant in several)]

    @property
    def configs(self) -> list[PolicyConfig]:
        return [policy.config for policy in (*self.answering, *([self.shadow] if self.shadow else []))]


def load_policy_set(repository: Path, settings: Settings) -> PolicySet:
    """The policies that the settings name; `SetupError` when they do not go together."""
    names: dict[SlotName, str | None] = {"a": settings.policy}
    if settings.policy_a is not None and settings.policy_b is not None:
        names = {"a": settings.policy_a, "b": settings.policy_b}
    slots = {slot: load_policy(repository, name) for slot, name in names.items()}
    shadow = None if settings.shadow is None else load_policy(repository, settings.shadow)
    first = slots["a"]
    for other in [*list(slots.values())[1:], *([shadow] if shadow else [])]:
        check_interchangeable(first, other)
    variants = {
        slot: [load_policy(repository, name) for name in needed_variants(settings, repository, policy.config)]
        for slot, policy in slots.items()
    }
    policy_set = PolicySet(slots, variants, shadow)
    _check_named_once(policy_set)
    return policy_set


def _check_named_once(policy_set: PolicySet) -> None:
    """One policy in two roles would be measured against itself, and unloaded under the other role."""
    names = [config.policy_id for config in policy_set.configs]
    for name in names:
        if names.count(name) > 1:
            raise SetupError(
                f"policy {name} would be served twice: in two slots, as the shadow, or as the variant with fewer steps "
                "that --slo-mode degrade or --adaptive-steps takes; name different policies"
            )


def check_interchangeable(one: ServedPolicy, other: ServedPolicy) -> None:
    """Robots must not notice which of the two answers, but by how well it drives them."""
    first, second = one.config, other.config
    if first.policy_id == second.policy_id:
        raise SetupError(f"policy {first.policy_id} is named twice; name two policies of the repository")
    for field in COMPARED:
        if (mine := getattr(first, field)) != (theirs := getattr(second, field)):
            raise SetupError(
                f"policies {first.policy_id} and {second.policy_id} cannot serve the same robots: {field} is "
                f"{_shown(mine)} in one and {_shown(theirs)} in the other"
            )
    if _fixed_sizes(first) != _fixed_sizes(second):
        raise SetupError(
            f"policies {first.policy_id} and {second.policy_id} cannot serve the same robots: they take pictures of "
            f"different sizes (height x width: {_fixed_sizes(first) or 'any'} and {_fixed_sizes(second) or 'any'})"
        )
    if one.embodiment != other.embodiment:
        differing = [
            field.name
            for field in dataclasses.fields(one.embodiment)
            if getattr(one.embodiment, field.name) != getattr(other.embodiment, field.name)
        ]
        raise SetupError(
            f"policies {first.policy_id} and {second.policy_id} have embodiments called {first.embodiment} that "
            f"differ in {', '.join(differing)}; export both with the same one"
        )


def _fixed_sizes(config: PolicyConfig) -> dict[str, tuple[int, ...]]:
    """The pictures that a policy takes in one size only, by camera."""
    images = {tensor.name: tensor.shape for tensor in config.inputs if tensor.name.startswith("image.")}
    return {name.removeprefix("image."): shape[:2] for name, shape in images.items() if -1 not in shape[:2]}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{camera.name}{'' if camera.required else ' (optional)'}" for camera in value)
    return str(value)
