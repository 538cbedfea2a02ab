"""An export takes no policy's place unless it was told to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from reflex.errors import RepositoryError, SetupError
from reflex.policy_config import read_policy_config

__all__ = ["policy_ids", "require_free"]


def policy_ids(name: str, steps: Sequence[int]) -> tuple[str, ...]:
    """What the policies of one export are called; no steps are the checkpoint's own number."""
    return (name, *(f"{name}-{number}steps" for number in steps[1:]))


def require_free(repository: Path, names: Iterable[str]) -> None:
    """`SetupError` says what lies where one of these policies would be published."""
    for name in names:
        if os.path.lexists(repository / name):
            raise SetupError(
                f"{repository} has {_described(repository, name)} already; choose another --name, or put the new one "
                "in its place with --replace"
            )


def _described(repository: Path, name: str) -> str:
    try:
        config = read_policy_config(repository / name)
    except RepositoryError:
        return f"a folder {name}, which is no policy of this version,"
    verdict = (config.parity or {}).get("verdict", "not recorded")
    return f"the policy {config.model_version} (parity {verdict})"
