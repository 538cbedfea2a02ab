"""Which policy answers a request: a pure function of its episode, so that every replica decides alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from reflex.errors import UnavailableError
from reflex.wire import HEADER_SAFE, ROUTING_HEADERS, SlotName
from reflex_frontend.exchange.slot_hash import draw_slot, slot_of
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import SloMode

__all__ = ["Router", "Routing", "Slot"]

NAMES: Final = tuple(name.lower() for name in ROUTING_HEADERS)


@dataclass
class Slot:
    """A place for one policy. Its `loaded` is replaced whole; a request keeps the one that it was routed to."""

    name: SlotName
    loaded: LoadedPolicy
    variants: tuple[LoadedPolicy, ...] = ()
    """The same policy with fewer denoising steps, the most first; each with a canary of its own."""
    slo: SloMonitor | None = None
    slo_mode: SloMode = "log"

    @property
    def reduced(self) -> LoadedPolicy | None:
        """What answers while the slot misses its objective."""
        return self.variants[0] if self.variants else None

    @property
    def is_out(self) -> bool:
        return self.loaded.vitals.is_out


@dataclass(frozen=True, slots=True)
class Routing:
    """Where one request goes. `is_degraded`: no episode named the slot, or its own slot is out."""

    slot: Slot
    loaded: LoadedPolicy
    key: str | None
    is_degraded: bool


@dataclass
class Router:
    """One slot, or two with a split: `split` percent of the episodes go to a. It may change while requests run."""

    slots: Mapping[SlotName, Slot]
    split: int = 100
    draw: Callable[[], float] = field(default=random.random)

    @property
    def has_two(self) -> bool:
        return len(self.slots) > 1

    @property
    def first(self) -> Slot:
        return self.slots["a"]

    @property
    def policy_hashes(self) -> frozenset[str]:
        """Of the weights of the policies that answer."""
        return frozenset(slot.loaded.policy.config.policy_hash for slot in self.slots.values())

    @property
    def is_full(self) -> bool:
        """No slot has a place in flight or in its queue. Cheap: asked before a request is even read."""
        return all(slot.loaded.admission.is_full for slot in self.slots.values())

    def refusal(self) -> UnavailableError:
        """What the server says while it is full."""
        return self.first.loaded.admission.refusal()

    def route(self, episode_id: str | None) -> Routing:
        """The slot of this episode; the other one while that is out."""
        if not self.has_two:
            return Routing(self.first, self.first.loaded, episode_id, is_degraded=False)
        name = draw_slot(self.split, self.draw) if episode_id is None else slot_of(episode_id, self.split)
        own, other = self.slots[name], self.slots["b" if name == "a" else "a"]
        is_diverted = own.is_out and not other.is_out
        slot = other if is_diverted else own
        return Routing(slot, slot.loaded, episode_id, is_degraded=is_diverted or episode_id is None)

    def headers(self, routing: Routing | None) -> dict[str, str]:
        """What two-policy mode adds to every answer; `None` is a request that could not be read."""
        if not self.has_two:
            return {}
        known = routing or self.route(None)
        values = (
            known.slot.name,
            known.loaded.policy.config.model_version,
            "" if known.key is None else quote(known.key, safe=HEADER_SAFE),
            "true" if known.is_degraded else "false",
        )
        return dict(zip(NAMES, values, strict=True))
