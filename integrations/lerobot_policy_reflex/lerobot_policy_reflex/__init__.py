"""A policy of LeRobot that asks a Reflex server for its actions.

LeRobot imports this package by its name, and finds the rest by the names of its own convention: the configuration is
registered under the type `reflex`, and policy and processors lie beside it. What knows neither LeRobot nor torch
(`asking`, `observing`, `fitting`, `keys`) can be used, and tested, without them.
"""

from __future__ import annotations

from importlib.util import find_spec

__all__: list[str] = []

_LEROBOT = find_spec("lerobot")
if _LEROBOT is not None and _LEROBOT.origin is not None:  # a mere folder of that name has none
    from lerobot_policy_reflex.configuration_reflex import ReflexConfig

    __all__ += ["ReflexConfig"]
