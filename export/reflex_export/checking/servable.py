"""What a server refuses of a repository before it starts, and `reflex verify` therefore as well.

The tests hold it to what the server says of the same damage.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from reflex.embodiments import load_embodiment
from reflex.errors import RepositoryError
from reflex.model_repository import EMBODIMENT_FILE, TRITON_CONFIG_FILE
from reflex.policy_config import COMPONENT_ROLES, PolicyConfig
from reflex_export.publishing.triton_config import EXPORT_ID_PARAMETER

__all__ = ["require_servable"]

_EXPORT_ID: Final = re.compile(
    rf"""["']{EXPORT_ID_PARAMETER}["']\s*,?\s*value\s*:?\s*\{{\s*string_value\s*:\s*["']([^"']*)["']"""
)


def require_servable(repository: Path, name: str, config: PolicyConfig) -> None:
    """`RepositoryError` for a policy whose parts are not of one export, or that drives another robot."""
    if config.policy_id != name:
        raise RepositoryError(
            f"{repository / name} holds policy {config.policy_id!r}: a policy's folder bears its name"
        )
    for role in COMPONENT_ROLES:
        _require_same_export(repository / config.component(role) / TRITON_CONFIG_FILE, config)
    own = repository / name / EMBODIMENT_FILE
    robot = load_embodiment(str(own) if own.is_file() else config.embodiment)
    if (config.state_dim, config.action_dim) != (robot.state_dim, robot.action_dim):
        raise RepositoryError(
            f"policy {name} has {config.state_dim} state and {config.action_dim} action values, embodiment "
            f"{config.embodiment} has {robot.state_dim} and {robot.action_dim}; export it with the --embodiment it was "
            "trained for"
        )


def _require_same_export(path: Path, config: PolicyConfig) -> None:
    try:
        found = _EXPORT_ID.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise RepositoryError(f"{path} cannot be read ({exc}); export the policy again") from exc
    if found is None or found[1] != config.export_id:
        raise RepositoryError(
            f"{path.parent.name} is from export {found[1] if found else 'unknown'}, {config.policy_id} from "
            f"{config.export_id}: parts of different exports must not be mixed; export the policy again"
        )
