"""`reflex connect --check`: everything that is looked at before a run, of one `robot.yaml`, without moving."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from os import PathLike

from reflex.control.opening import open_client
from reflex.readiness.checking import Check
from reflex_runner.cameras.build import build_camera
from reflex_runner.config import load_robot_config
from reflex_runner.config.environment import read_environment
from reflex_runner.config.sections import Mode
from reflex_runner.connectors.build import build_connector
from reflex_runner.preflight.examining import examine
from reflex_runner.preflight.served import look_at
from reflex_runner.running.options import RunOptions, with_options

__all__ = ["check_config"]


def check_config(
    path: str | PathLike[str], mode: Mode | None = None, *, api_key: str | None = None, convex_url: str | None = None
) -> list[Check]:
    """In the order in which they are told; `SetupError` for a file that cannot be read."""
    config = with_options(load_robot_config(path), RunOptions(mode=mode))
    folder = None if config.path is None else config.path.parent
    hardware = config.hardware
    with ExitStack() as opened:
        asks_the_plane = config.session.deployment_id is not None
        plane = opened.enter_context(open_client(api_key, convex_url=convex_url)) if asks_the_plane else None
        key = None if asks_the_plane else api_key or read_environment().api_key
        return examine(
            config,
            config.session.mode,
            build_robot=partial(build_connector, hardware.kind, hardware.settings, folder=folder),
            build_cameras={
                name: partial(build_camera, each.kind, each.as_settings(), name=name, folder=folder)
                for name, each in config.cameras.items()
            },
            look=partial(look_at, config.target, key),
            doctor=plane,
        )
