"""What a server says of the policy that it serves, before it is asked for an action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from reflex.client.blocking import ReflexClient
from reflex.client.embodiment import embodiment_of
from reflex.client.http import DEFAULT_URL, ApiKey
from reflex.embodiments import Embodiment
from reflex.errors import InvalidRequestError, TransportError
from reflex_runner.config.sections import TargetConfig

__all__ = ["Served", "ServedPolicy", "base_url_of", "look_at"]

IMAGE: Final = "image."
NORMALISED: Final = ("observation.state", "action")
SCHEMES: Final = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """One policy of `/config`."""

    name: str
    embodiment: Embodiment
    cameras: Mapping[str, bool]
    """Whether each is required."""
    takes_instruction: bool
    is_trained: bool
    oddities: tuple[str, ...]
    """What is odd about how it was normalised."""
    policy_hash: str | None = None
    picture_size: tuple[int, int] | None = None
    """Height and width, where it takes pictures of no other."""

    @property
    def model_version(self) -> str:
        """As answers have it."""
        return self.name if self.policy_hash is None else f"{self.name}@{self.policy_hash.removeprefix('sha256:')[:12]}"


@dataclass(frozen=True, slots=True)
class Served:
    """A server as it is now."""

    url: str
    status: str
    policies: tuple[ServedPolicy, ...]


def base_url_of(target: TargetConfig) -> str:
    """Where `/config` of the server lies, also for the address of a stream."""
    url = target.url or DEFAULT_URL
    parts = urlsplit(url)
    if parts.scheme in SCHEMES:
        return parts._replace(scheme=SCHEMES[parts.scheme], path="", query="", fragment="").geturl()
    if target.kind == "openpi":
        return parts._replace(path="", query="", fragment="").geturl()
    return url


def look_at(target: TargetConfig, api_key: ApiKey | None, network: httpx.BaseTransport | None = None) -> Served | None:
    """None for a server of another make; `TransportError` and `ServiceError` when it does not answer or refuses."""
    url = base_url_of(target)
    with ReflexClient(url, api_key=api_key, deadline_s=target.connect_timeout_s, transport=network) as client:
        try:
            config = client.config()
        except InvalidRequestError:
            return None
        return Served(url, client.health()["status"], _policies_of(config))


def _policies_of(config: Mapping[str, Any]) -> tuple[ServedPolicy, ...]:
    """One policy, or two by their slots, of one embodiment."""
    embodiment = embodiment_of(config)
    each = [config] if "policy_id" in config else [config.get("a"), config.get("b")]
    try:
        return tuple(_policy_of(told, embodiment) for told in each if isinstance(told, Mapping))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise TransportError(f"/config describes no policy ({exc!r}); is it a Reflex server of this version?") from exc


def _policy_of(told: Mapping[str, Any], embodiment: Embodiment) -> ServedPolicy:
    return ServedPolicy(
        name=str(told["policy_id"]),
        embodiment=embodiment,
        cameras={str(camera["name"]): bool(camera["required"]) for camera in told["cameras"]},
        takes_instruction=told.get("prompt") is not None,
        is_trained=bool(told.get("trained")),
        oddities=tuple(_oddities(told)),
        policy_hash=told.get("policy_hash"),
        picture_size=_picture_size(told),
    )


def _picture_size(told: Mapping[str, Any]) -> tuple[int, int] | None:
    shapes = [each["shape"][:2] for each in told.get("inputs", ()) if each["name"].startswith(IMAGE)]
    return next(((height, width) for height, width in shapes if min(height, width) > 0), None)


def _oddities(told: Mapping[str, Any]) -> list[str]:
    modes = {each["feature"]: each["mode"] for each in told.get("normalization", ())}
    plain = [f"{feature} is not normalised at all" for feature in NORMALISED if modes.get(feature) == "IDENTITY"]
    unknown = [f"nothing says how {feature} is normalised" for feature in NORMALISED if feature not in modes]
    return [*unknown, *plain, *(f"the export warned: {warning}" for warning in told.get("warnings", ()))]
