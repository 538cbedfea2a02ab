"""What a server refuses of a repository before it starts, and `reflex verify` therefore as well.

Only the export id is read in another way: without the packages of a client of Triton.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from reflex.errors import RepositoryError
from reflex.model_repository import TRITON_CONFIG_FILE, policy_folder
from reflex.policy_config import COMPONENT_ROLES, PolicyConfig
from reflex.servable import EXPORT_ID_PARAMETER, embodiment_of, require_own_name, require_same_export

__all__ = ["require_servable"]

_EXPORT_ID: Final = re.compile(
    rf"""["']{EXPORT_ID_PARAMETER}["']\s*,?\s*value\s*:?\s*\{{\s*string_value\s*:\s*["']([^"']*)["']"""
)


def require_servable(repository: Path, name: str, config: PolicyConfig) -> None:
    """`RepositoryError` for a policy whose parts are not of one export, or that drives another robot."""
    policy_dir = policy_folder(repository, name)
    require_own_name(policy_dir, config)
    for role in COMPONENT_ROLES:
        model = config.component(role)
        require_same_export(model, _export_id(repository / model / TRITON_CONFIG_FILE), config)
    embodiment_of(policy_dir, config)


def _export_id(path: Path) -> str:
    try:
        found = _EXPORT_ID.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise RepositoryError(f"{path} cannot be read ({exc}); export the policy again") from exc
    return found[1] if found else ""
