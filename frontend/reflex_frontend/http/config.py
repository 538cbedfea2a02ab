"""What /config says: the policy's own file, and all of the embodiment that its file only names."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from reflex.wire import EMBODIMENT_FIELD
from reflex_frontend.exchange.routing import Router
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["config_of", "configs_of"]


def configs_of(router: Router) -> bytes:
    """The one policy's, or those of both by slot."""
    configs = {name: config_of(slot.loaded.policy) for name, slot in router.slots.items()}
    return orjson.dumps(configs if router.has_two else configs["a"])


def config_of(policy: ServedPolicy) -> dict[str, Any]:
    """One policy's, ready to be written as JSON."""
    return policy.config.model_dump(mode="json") | {EMBODIMENT_FIELD: dataclasses.asdict(policy.embodiment)}
