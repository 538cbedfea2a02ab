"""Requests, claims, progress and endings as JSON: names in camelCase, and nothing that is not given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from reflex.training.port import ClaimedRun, Ending, Exported, Progress, WorkerFacts
from reflex.training.request import LoraOptions, TrainingRequest

__all__ = ["as_json", "claim_from_json", "request_from_json"]

AS_THEY_ARE = ("others", "parity")
"""Fields whose names are somebody else's."""


def as_json(told: TrainingRequest | WorkerFacts | Progress | Ending | Exported) -> dict[str, Any]:
    """What goes over the wire, and into the store."""
    fields = {field.name: getattr(told, field.name) for field in dataclasses.fields(told)}
    return {_camel_case(name): _plain(name, value) for name, value in fields.items() if value is not None}


def request_from_json(given: Mapping[str, Any]) -> TrainingRequest:
    """`TypeError` or `AttributeError` for what `as_json` has not made."""
    fields: dict[str, Any] = {_snake_case(name): value for name, value in given.items()}
    if fields.get("lora") is not None:
        fields["lora"] = LoraOptions(**fields["lora"])
    return TrainingRequest(**{**fields, "then": tuple(fields.get("then", ()))})


def claim_from_json(given: Mapping[str, Any]) -> ClaimedRun:
    """`TypeError`, `KeyError` or `AttributeError` for what no queue has answered."""
    fields: dict[str, Any] = {_snake_case(name): value for name, value in given.items()}
    return ClaimedRun(**{**fields, "request": request_from_json(fields["request"])})


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - a field
    if dataclasses.is_dataclass(value):
        return as_json(value)  # type: ignore[arg-type]
    if isinstance(value, tuple):
        return [_plain(name, each) for each in value]
    return dict(value) if name in AS_THEY_ARE else value


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
