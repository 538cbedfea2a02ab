"""The embodiment in a server's `/config`, as the type that `ActionGuard` takes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reflex.errors import SetupError, TransportError
from reflex.wire import EMBODIMENT_FIELD

if TYPE_CHECKING:
    from reflex.embodiments import Embodiment

__all__ = ["embodiment_of"]


def embodiment_of(config: Mapping[str, Any]) -> Embodiment:
    """The embodiment of `/config`; two policies share one. `TransportError` when it holds none that can be trusted.

    Fields that this version does not know are left out: a newer server may say more.
    """
    # Here, because it brings pydantic, and most clients never ask.
    from reflex.embodiments import Embodiment, parse_embodiment

    details = config.get(EMBODIMENT_FIELD, _first_slot(config).get(EMBODIMENT_FIELD))
    if not isinstance(details, Mapping):
        raise TransportError("/config says nothing of the embodiment; is this a Reflex server, and of this version?")
    fields = {field.name for field in dataclasses.fields(Embodiment)}
    known = {name: value for name, value in details.items() if name in fields}
    try:
        return parse_embodiment("of /config", json.dumps(known).encode())
    except SetupError as exc:
        raise TransportError(f"/config holds no embodiment that may be used: {exc}") from exc


def _first_slot(config: Mapping[str, Any]) -> Mapping[str, Any]:
    slot = config.get("a")
    return slot if isinstance(slot, Mapping) else {}
