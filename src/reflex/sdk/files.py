"""Files of JSON or YAML that functions of the SDK take, read into what the control plane is sent."""

from __future__ import annotations

import inspect
import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import yaml

from reflex.control import asks
from reflex.errors import SetupError
from reflex.model_repository import CONFIG_FILE, one_policy_of

__all__ = ["ExportedPolicy", "read_deployment_spec", "read_mapping", "read_policy", "read_schema"]

MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExportedPolicy:
    """What the control plane is told of a policy."""

    name: str
    content_hash: str
    config: Mapping[str, Any]
    source: str | None


def read_policy(folder: Path) -> ExportedPolicy:
    """The policy of a folder in a model repository, or the only one of the repository itself."""
    from reflex.policy_config import read_policy_config  # here, because it brings pydantic

    home = folder if (folder / CONFIG_FILE).is_file() else folder / one_policy_of(folder)
    checked = read_policy_config(home)
    config = read_mapping(home / CONFIG_FILE)
    return ExportedPolicy(checked.policy_id, checked.policy_hash, config, checked.source)


def read_deployment_spec(path: Path) -> dict[str, Any]:
    """The arguments of `create_deployment`; `SetupError` names a key that is none of them, and one that is missing."""
    found = read_mapping(path)
    parameters = inspect.signature(asks.create_deployment).parameters
    if unknown := sorted(found.keys() - parameters.keys()):
        raise SetupError(f"{path}: {', '.join(unknown)} is no key of a deployment; it takes {', '.join(parameters)}")
    needed = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    if missing := [name for name in needed if found.get(name) is None]:
        raise SetupError(f"{path} does not say {' and '.join(missing)}; add it")
    return found


def read_schema(schema: Mapping[str, Any] | str | PathLike[str]) -> Mapping[str, Any]:
    """A mapping as it is, or the one in a file."""
    return schema if isinstance(schema, Mapping) else read_mapping(Path(schema))


def read_mapping(path: Path) -> dict[str, Any]:
    """The one mapping that the file holds; `SetupError` says what is wrong with it, a key that is given twice too."""
    text = _text_of(path)
    try:
        found = (
            json.loads(text, object_pairs_hook=_unique)
            if path.suffix.lower() == ".json"
            else yaml.load(text, _UniqueKeys)  # noqa: S506  # a SafeLoader
        )
    except (ValueError, yaml.YAMLError, RecursionError) as exc:
        raise SetupError(f"{path} cannot be read as JSON or YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise SetupError(f"{path} holds no mapping of names to values; write it like `name: kitchen`")
    return found


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as exc:  # ValueError: not UTF-8, or a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SetupError(f"{path} cannot be read: {reason}") from exc
    if len(data) > MAX_FILE_BYTES:
        raise SetupError(f"{path} is longer than {MAX_FILE_BYTES // 1024} KiB; is it the right file?")
    return text


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers keep the last one silently: which did the author mean?"""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is given twice")
        found[key] = value
    return found


class _UniqueKeys(yaml.SafeLoader):
    """YAML without tags that make objects, and without a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1 and name != "<<":
                raise ValueError(f"{name!r} is given twice")
        return super().construct_mapping(node, deep=deep)
