"""`build_transport`: the transport of a kind."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from reflex.client.http import ApiKey
from reflex.errors import SetupError
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.config.sections import TargetConfig
from reflex_runner.config.strict import nearest, parse_section
from reflex_runner.transports.transport import Asking, Transport

__all__ = ["KINDS", "build_transport"]

KINDS = ("act", "edge", "stream", "openpi")


def build_transport(
    kind: str,
    cfg: Mapping[str, Any] | TargetConfig,
    *,
    instruction: str = "",
    api_key: ApiKey | None = None,
    control_hz: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Transport:
    """One that is not open yet; `cfg` has the keys of `target` in robot.yaml.

    `api_key` is for a server that asks for one, or gives the one that holds now, as a session's credential is renewed.
    `control_hz` counts where the server does not say its own. `SetupError` for what it cannot be built with.
    """
    if kind not in KINDS:
        raise SetupError(f"target.kind: there is no transport {kind!r}{nearest(kind, KINDS)}")
    given = asdict(cfg) if isinstance(cfg, TargetConfig) else cfg
    target = parse_section(TargetConfig, {**given, "kind": kind}, "target")
    return _built(Asking(target, instruction, api_key, control_hz, clock=clock))


def _built(asking: Asking) -> Transport:
    """Imported here: who asks over HTTP needs no websockets."""
    if asking.target.kind == "stream":
        from reflex_runner.transports.stream import StreamTransport

        return StreamTransport(asking)
    if asking.target.kind == "openpi":
        importlib.import_module("reflex.client.streaming")  # says which extra is missing
        from reflex_runner.transports.openpi import OpenpiTransport

        return OpenpiTransport(asking)
    from reflex_runner.transports.act import ActTransport

    return ActTransport(asking)
