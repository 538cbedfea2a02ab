"""The JSON Schema of `robot.yaml`, by which editors complete and check it: `python -m reflex_runner.config.schema`."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from reflex_runner.config.sections import (
    CameraConfig,
    HardwareConfig,
    LimitConfig,
    RecordingConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)

__all__ = ["robot_schema", "schema_text"]


def robot_schema() -> dict[str, Any]:
    """What a file may hold. That it holds no contradiction besides is checked when it is read."""
    sections = {
        "session": _section(SessionConfig),
        "target": _section(TargetConfig),
        "hardware": _hardware(),
        "cameras": {
            "description": "Cameras by the names that the policy has for them.",
            "type": "object",
            "additionalProperties": _with_own_settings(_section(CameraConfig)),
        },
        "safety": _safety(),
        "recording": _section(RecordingConfig),
    }
    return {
        "title": "robot.yaml of reflex connect",
        "type": "object",
        "properties": sections,
        "required": ["hardware"],
        "additionalProperties": False,
    }


def schema_text() -> str:
    """As the file docs/robot.schema.json."""
    return json.dumps(robot_schema(), indent=2, ensure_ascii=False) + "\n"


def _section(kind: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = TypeAdapter(kind).json_schema()
    found.pop("$defs", None)
    for name, description in _described(kind):
        found["properties"][name]["description"] = description
    tidy: dict[str, Any] = _each_mapping(found, _in_one_line)
    return tidy


def _described(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """Each setting with the sentence below it. Only here is source read: what a robot runs on never parses Python."""
    lines = [line for section in ast.parse(inspect.getsource(kind)).body for line in getattr(section, "body", ())]
    for setting, below in pairwise(lines):
        match setting, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(description))):
                yield name, description


def _hardware() -> dict[str, Any]:
    found = _with_own_settings(_section(HardwareConfig))
    found["properties"]["kind"] |= {"pattern": "^(sim|so101|subprocess|[^:]+:.+)$"}
    return found


def _with_own_settings(found: dict[str, Any]) -> dict[str, Any]:
    found["properties"].pop("settings")
    return {**found, "additionalProperties": True}


def _safety() -> dict[str, Any]:
    found = _section(SafetyConfig)
    found["properties"]["limits"]["additionalProperties"] = _section(LimitConfig)
    return found


def _in_one_line(found: Mapping[str, Any]) -> dict[str, Any]:
    """Without Pydantic's titles, and with descriptions as editors show them."""
    kept = {name: value for name, value in found.items() if not (name == "title" and isinstance(value, str))}
    if isinstance(text := kept.get("description"), str):
        kept["description"] = " ".join(text.split())
    return kept


def _each_mapping(found: Any, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:  # noqa: ANN401  # JSON
    if isinstance(found, dict):
        return {name: _each_mapping(value, change) for name, value in change(found).items()}
    return [_each_mapping(value, change) for value in found] if isinstance(found, list) else found


if __name__ == "__main__":
    sys.stdout.write(schema_text())
