"""What must hold of a policy in a repository before a robot gets its actions: `serve` and `verify` ask the same."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reflex.embodiments import Embodiment, load_embodiment
from reflex.errors import RepositoryError
from reflex.model_repository import EMBODIMENT_FILE
from reflex.policy_config import PolicyConfig

__all__ = ["EXPORT_ID_PARAMETER", "embodiment_of", "require_own_name", "require_same_export"]

EXPORT_ID_PARAMETER: Final = "reflex_export_id"
"""Of every component's config.pbtxt."""


def require_own_name(policy_dir: Path, config: PolicyConfig) -> None:
    """`RepositoryError` for a folder that was renamed or copied."""
    if config.policy_id != policy_dir.name:
        raise RepositoryError(f"{policy_dir} holds policy {config.policy_id!r}: a policy's folder bears its name")


def require_same_export(model: str, found: str, config: PolicyConfig) -> None:
    """`RepositoryError` for a component that another export made; `found` is its export id, empty where it has none."""
    if found != config.export_id:
        raise RepositoryError(
            f"{model} is from export {found or 'unknown'}, {config.policy_id} from {config.export_id}: "
            "parts of different exports must not be mixed; export the policy again"
        )


def embodiment_of(policy_dir: Path, config: PolicyConfig) -> Embodiment:
    """The robot that the policy drives, its own file before those of Reflex; `RepositoryError` when it is another."""
    own = policy_dir / EMBODIMENT_FILE
    robot = load_embodiment(str(own) if own.is_file() else config.embodiment)
    if (config.state_dim, config.action_dim) != (robot.state_dim, robot.action_dim):
        raise RepositoryError(
            f"policy {config.policy_id} has {config.state_dim} state and {config.action_dim} action values, embodiment "
            f"{config.embodiment} has {robot.state_dim} and {robot.action_dim}; export it with the --embodiment it was "
            "trained for"
        )
    return robot
