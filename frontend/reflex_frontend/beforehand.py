"""What can be found wrong before Triton is started: whoever starts a server then waits for no answer that is no."""

from __future__ import annotations

import time

from reflex_frontend.act.keys import KeyRing
from reflex_frontend.observing.recording.directory import prepare_directory
from reflex_frontend.observing.tracing import require_tracing
from reflex_frontend.settings import Settings

__all__ = ["check_beforehand"]


def check_beforehand(settings: Settings) -> None:
    """`SetupError` for a key file, a folder of recordings or a collector that the server could not work with."""
    if settings.api_keys is not None:
        KeyRing.read(settings.api_keys, time.monotonic)
    if settings.record is not None:
        prepare_directory(settings.record)
    if settings.otel_endpoint is not None:
        require_tracing()
