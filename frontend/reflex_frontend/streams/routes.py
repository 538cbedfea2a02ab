"""Which stream is spoken on which path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reflex.wire.stream import STREAM_PATH
from reflex_frontend.act.act import ActService
from reflex_frontend.streams.act_stream import ActStream
from reflex_frontend.streams.door import Stream
from reflex_frontend.streams.openpi import OpenpiStream

__all__ = ["streams_of"]

OPENPI_PATHS: Final = ("/openpi", "/openpi/policy", "/v1/realtime/robot/openpi")
"""Ours, and those of other servers that speak it: their clients need another address and nothing else."""
ROOT: Final = "/"
"""Where openpi's own server listens."""


def streams_of(service: ActService, *, openpi_root: bool = False) -> Mapping[str, Stream]:
    """By path; a path that is not here is no WebSocket's."""
    openpi = OpenpiStream(service)
    return {STREAM_PATH: ActStream(service)} | dict.fromkeys((*OPENPI_PATHS, *((ROOT,) if openpi_root else ())), openpi)
