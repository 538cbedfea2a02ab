"""An export takes no policy's place unless it was told to, and never that of a policy with another name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from reflex.errors import RepositoryError, SetupError
from reflex.policy_config import read_policy_config
from reflex_export.publishing.ownership import in_the_way, models_of, owners

__all__ = ["folders_of", "policy_ids", "require_free", "require_unshared"]


def policy_ids(name: str, steps: Sequence[int]) -> tuple[str, ...]:
    """What the policies of one export are called; no steps are the checkpoint's own number."""
    return (name, *(f"{name}-{number}steps" for number in steps[1:]))


def folders_of(names: Sequence[str]) -> tuple[str, ...]:
    """What an export writes: the first policy's folders, and of the others what they do not share with it."""
    return (*models_of(names[0]), *(folder for name in names[1:] for folder in (name, f"{name}_denoise")))


def require_free(repository: Path, names: Sequence[str]) -> None:
    """`SetupError` says what lies where one of the folders of these policies would be published."""
    for folder in folders_of(names):
        if os.path.lexists(repository / folder):
            found = f"{repository} has {_described(repository, folder)} already; choose another --name"
            if folder not in names and owners(repository).get(folder):
                raise SetupError(f"{found}: {names[0]} would have a component of this one")
            raise SetupError(
                f"{found}, or put the new one in its place with --replace{_unless_shared(repository, names)}"
            )


def require_unshared(repository: Path, names: Sequence[str]) -> None:
    """`SetupError` names the policies that replacing these would break, since they need one of their folders."""
    for folder, policies in in_the_way(repository, folders_of(names), names).items():
        others = ", ".join(sorted(policies))
        if folder in policies:
            raise SetupError(
                f"{repository} has the policy {folder}, whose name a component of {names[0]} would have; "
                "choose another --name"
            )
        raise SetupError(
            f"{repository}: {others} runs {folder}, which this export would replace; replace all of them in one export "
            f"(--steps once for each), remove {others} first, or choose another --name"
        )


def _unless_shared(repository: Path, names: Sequence[str]) -> str:
    shared = {one for policies in in_the_way(repository, folders_of(names), names).values() for one in policies}
    return f" (not while {', '.join(sorted(shared))} is there, which needs it)" if shared else ""


def _described(repository: Path, folder: str) -> str:
    try:
        config = read_policy_config(repository / folder)
    except RepositoryError:
        policies = ", ".join(sorted(owners(repository).get(folder, set()) - {folder}))
        if policies:
            return f"a folder {folder}, which the policy {policies} runs,"
        return f"a folder {folder}, which is no policy of this version,"
    verdict = (config.parity or {}).get("verdict", "not recorded")
    return f"the policy {config.model_version} (parity {verdict})"
