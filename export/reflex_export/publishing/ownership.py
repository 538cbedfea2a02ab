"""Which policies of a repository each of its folders belongs to: a policy's own, and the models that it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from reflex.errors import RepositoryError
from reflex.model_repository import policies_of
from reflex.policy_config import COMPONENT_ROLES, read_policy_config

__all__ = ["in_the_way", "models_of", "owners"]


def models_of(policy_id: str) -> tuple[str, ...]:
    """What the folders of a policy are called that shares nothing."""
    return (policy_id, *(f"{policy_id}_{role}" for role in COMPONENT_ROLES))


def owners(repository: Path) -> dict[str, set[str]]:
    """The policies that need a folder, by its name. One of another version is taken to share nothing."""
    found: dict[str, set[str]] = {}
    for policy_id in policies_of(repository):
        try:
            models = read_policy_config(repository / policy_id).models
        except RepositoryError:
            models = models_of(policy_id)
        for model in {policy_id, *models}:
            found.setdefault(model, set()).add(policy_id)
    return found


def in_the_way(repository: Path, wanted: Iterable[str], replaced: Iterable[str]) -> Mapping[str, set[str]]:
    """The policies that would be broken, by the folder of `wanted` that they need, if `replaced` are replaced.

    A folder that no policy needs is in nobody's way.
    """
    owned, leaving = owners(repository), set(replaced)
    present = (name for name in wanted if os.path.lexists(repository / name))
    others = {name: owned.get(name, set()) - leaving for name in present}
    return {name: policies for name, policies in others.items() if policies}
