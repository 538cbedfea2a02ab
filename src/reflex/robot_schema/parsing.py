"""One function for what a user or a request gives as a robot schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from reflex.embodiments import check_embodiment, first_complaint
from reflex.errors import SetupError
from reflex.printable import printable
from reflex.robot_schema.reading import read_fields
from reflex.robot_schema.schema import Camera, RobotSchema, SafeStop

__all__ = ["parse_robot_schema"]

MAX_REASON_CHARACTERS: Final = 400
"""A reason may repeat a field's name, and that is the author's to choose."""


@dataclass(frozen=True, slots=True)
class _BesideTheEmbodiment:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    cameras: tuple[Camera, ...]
    safe_stop: SafeStop
    simulation: bool = False


_PARSER: Final = TypeAdapter(_BesideTheEmbodiment)


def parse_robot_schema(text_or_mapping: str | bytes | Mapping[str, Any], origin: str) -> RobotSchema:
    """Read JSON, YAML or a mapping that is one schema; keys may be camelCase.

    The `SetupError` calls it `origin`, and names the field that is wrong.
    """
    try:
        fields = read_fields(text_or_mapping)
        names = fields.keys() & _BesideTheEmbodiment.__annotations__.keys()
        beside = _PARSER.validate_json(json.dumps({name: fields.pop(name) for name in names}))
        embodiment = check_embodiment(json.dumps(fields).encode())
        return RobotSchema(embodiment, beside.cameras, beside.safe_stop, beside.simulation)
    except ValidationError as exc:
        raise _refusal(origin, first_complaint(exc)) from exc
    except ValueError as exc:
        raise _refusal(origin, str(exc)) from exc


def _refusal(origin: str, reason: str) -> SetupError:
    if len(reason) > MAX_REASON_CHARACTERS:
        reason = f"{reason[:MAX_REASON_CHARACTERS]}..."
    return SetupError(printable(f"robot schema {origin}: {reason}; correct it and give it again"))
