"""What a frontend tells of itself, and what was registered of a model: untrusted, read here and nowhere else.

A newer one may say more than is known here; what is needed must be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from reflex.client.embodiment import embodiment_of
from reflex.embodiments import Embodiment, bundled_embodiments, load_embodiment
from reflex.errors import ReflexError
from reflex.signed.moments import ms_of
from reflex.wire import EMBODIMENT_FIELD

__all__ = ["CameraTold", "Health", "NormalizationTold", "PolicyTold", "read_config", "read_health", "registered_policy"]

SLOTS: Final = frozenset({"a", "b"})

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class SlotTold(_Told):
    policy_hash: str


class HealthTold(_Told):
    status: str
    model_loaded: bool
    reason: str | None = None
    policy_hash: str
    guard_active: bool
    time: str
    slots: dict[str, SlotTold] = {}


class CameraTold(_Told):
    name: str
    required: bool


class NormalizationTold(_Told):
    feature: str
    mode: str
    never_moved: list[int] = []


class _PolicyFields(_Told):
    policy_hash: str
    trained: bool
    embodiment: str
    cameras: list[CameraTold]
    state_dim: int
    action_dim: int
    normalization: list[NormalizationTold] = []
    parity: dict[str, Any] | None = None
    warnings: list[str] = []


@dataclass(frozen=True, slots=True)
class Health:
    """`/health` of one frontend."""

    is_ready: bool
    model_loaded: bool
    reason: str | None
    hashes: frozenset[str]
    """Of every policy that may answer."""
    guard_active: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class PolicyTold:
    """A policy's own record; `origin` says by which one, to end a sentence."""

    origin: str
    policy_hash: str
    trained: bool
    cameras: Sequence[CameraTold]
    state_dim: int
    action_dim: int
    normalization: Sequence[NormalizationTold]
    parity: str | None
    """The verdict; None where there is none."""
    warnings: Sequence[str]
    embodiment: Embodiment | None
    """None where nothing tells it whole."""


def read_health(body: bytes) -> Health:
    """`ValueError` for what no frontend of this release says."""
    told = _validated(HealthTold, _object_of(body))
    hashes = {told.policy_hash, *(slot.policy_hash for slot in told.slots.values())}
    return Health(
        told.status == "ready", told.model_loaded, told.reason, frozenset(hashes), told.guard_active, ms_of(told.time)
    )


def read_config(body: bytes, wanted_hash: str, origin: str) -> PolicyTold:
    """Of two policies the one with that hash, else the first; `ValueError` for what no such frontend says."""
    told = _object_of(body)
    if told.keys() == SLOTS:
        slots = [slot for slot in told.values() if isinstance(slot, dict)]
        told = next((slot for slot in slots if slot.get("policy_hash") == wanted_hash), {} if not slots else slots[0])
    try:
        embodiment = embodiment_of(told)
    except ReflexError as exc:
        raise ValueError(str(exc)) from exc
    return _policy(told, origin, embodiment)


def registered_policy(config: Mapping[str, Any]) -> PolicyTold | None:
    """What was registered with a model; None when that is no whole reflex_config.json."""
    try:
        name = config.get("embodiment")
        embodiment = load_embodiment(str(name)) if name in bundled_embodiments() else None
        return _policy(
            {key: value for key, value in config.items() if key != EMBODIMENT_FIELD},
            "by the record that was registered",
            embodiment,
        )
    except ValueError:
        return None


def _policy(told: Mapping[str, Any], origin: str, embodiment: Embodiment | None) -> PolicyTold:
    fields = _validated(_PolicyFields, told)
    verdict = (fields.parity or {}).get("verdict")
    return PolicyTold(
        origin, fields.policy_hash, fields.trained, fields.cameras, fields.state_dim, fields.action_dim,
        fields.normalization, verdict if isinstance(verdict, str) else None, fields.warnings, embodiment,
    )  # fmt: skip


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(told, dict):
        raise ValueError("it is no object")
    return told


def _validated(kind: type[ModelT], told: Mapping[str, Any]) -> ModelT:
    try:
        return kind.model_validate(told)
    except ValidationError as exc:
        where = ".".join(str(part) for part in exc.errors(include_url=False, include_input=False)[0]["loc"])
        raise ValueError(f"{where} is missing, or has a value that it cannot have") from None
