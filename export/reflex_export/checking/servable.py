"""What a server refuses of a repository before it starts, and `reflex verify` therefore as well.

Only config.pbtxt is read in another way: without the packages of a client of Triton.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reflex.errors import RepositoryError
from reflex.model_repository import TRITON_CONFIG_FILE, policy_folder
from reflex.policy_config import COMPONENT_ROLES, PolicyConfig, TensorConfig
from reflex.readiness.servable import (
    EXPORT_ID_PARAMETER,
    embodiment_of,
    require_own_name,
    require_own_sizes,
    require_same_export,
    require_same_inputs,
)
from reflex_export.engines.config_text import read_fields
from reflex_export.engines.errors import ConfigTextError

__all__ = ["require_servable"]

_EXPORT_ID: Final = re.compile(
    rf"""["']{EXPORT_ID_PARAMETER}["']\s*,?\s*value\s*:?\s*\{{\s*string_value\s*:\s*["']([^"']*)["']"""
)
_MESSAGE: Final = re.compile(r"\{((?:[^{}]|\{[^{}]*\})*)\}")
_COMMENT: Final = re.compile(r"#[^\n]*")
_SIZE: Final = re.compile(r"-?\d+")


def require_servable(repository: Path, name: str, config: PolicyConfig) -> None:
    """`RepositoryError` for a policy whose parts are not of one export, or that drives another robot."""
    policy_dir = policy_folder(repository, name)
    require_own_name(policy_dir, config)
    for role in COMPONENT_ROLES:
        model = config.component(role)
        require_same_export(model, _export_id(repository / model / TRITON_CONFIG_FILE), config)
    embodiment_of(policy_dir, config)
    require_own_sizes(config)
    require_same_inputs(config.policy_id, _inputs(policy_dir / TRITON_CONFIG_FILE), config)


def _export_id(path: Path) -> str:
    found = _EXPORT_ID.search(_text(path))
    return found[1] if found else ""


def _inputs(path: Path) -> Iterator[TensorConfig]:
    try:
        for field in read_fields(_text(path)):
            if field.name == "input":
                yield from map(_tensor, _MESSAGE.findall(_COMMENT.sub("", field.value)))
    except KeyError as exc:
        raise RepositoryError(f"{path} has an input without {exc.args[0]}; export the policy again") from exc
    except ConfigTextError as exc:
        raise RepositoryError(f"{path} is no Triton model configuration: {exc}; export the policy again") from exc


def _tensor(message: str) -> TensorConfig:
    values: dict[str, str] = {}
    for field in read_fields(message):  # a repeated field is one list
        values[field.name] = f"{values.get(field.name, '')} {field.value}".strip()
    sizes = tuple(map(int, _SIZE.findall(values["dims"])))
    return TensorConfig(
        name=values["name"].strip("\"'"), datatype=values["data_type"].removeprefix("TYPE_"), shape=sizes
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise RepositoryError(f"{path} cannot be read ({exc}); export the policy again") from exc
