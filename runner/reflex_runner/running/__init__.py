"""A run, from a `robot.yaml` to its result: everything that lies below is put together here."""

from __future__ import annotations

from reflex_runner.cameras.build import build_camera
from reflex_runner.connectors.build import build_connector
from reflex_runner.loop.run_session import run_session
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.running.run import run_from_config
from reflex_runner.transports.build import build_transport

__all__ = [
    "RunnerResult",
    "build_camera",
    "build_connector",
    "build_transport",
    "run_from_config",
    "run_session",
]
