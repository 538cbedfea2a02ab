"""`WatchHandle`: how another process stops the robot, as its connector's `watch_handle()` describes it.

    {"function": "my_package.arm:stop_arm", "arguments": {"port": "/dev/ttyACM0"}}     stop_arm("hold", port=...)
    {"command": ["my-arm", "stop"]}                                                    my-arm stop hold
    {..., "rungs": ["hold", "release"], "descriptors": [7]}

JSON and names of functions: nothing is unpickled, and no object of the runner is needed where it has just died.
"""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from reflex.embodiments import LADDER, Rung, StopLadder
from reflex.errors import SetupError

__all__ = ["WatchHandle", "first_safe_rungs", "parse_handle"]

COMMAND_S: Final = 5.0
"""A command that takes longer is ended, and tried again."""
KEYS: Final = frozenset({"command", "function", "arguments", "rungs", "descriptors"})


@dataclass(frozen=True, slots=True)
class WatchHandle:
    """Either a command, to which the rung is added, or a function, whose first argument it is."""

    command: tuple[str, ...] = ()
    function: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    rungs: tuple[Rung, ...] = ("hold",)
    """What it can do."""
    descriptors: tuple[int, ...] = ()
    """Of files that the other process inherits, to speak on a bus that is locked."""

    def as_json(self) -> dict[str, Any]:
        """As `parse_handle` takes it."""
        how = {"command": list(self.command)} if self.command else {"function": self.function}
        return {
            **how, "arguments": dict(self.arguments), "rungs": list(self.rungs), "descriptors": list(self.descriptors)
        }  # fmt: skip

    def bound(self) -> Callable[[str], None]:
        """What stops the robot, loaded now: when it is needed there is no time for it."""
        if self.command:
            return self._run
        module, _, name = self.function.partition(":")
        try:
            stop = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as exc:
            raise SetupError(f"watch_handle: {self.function} cannot be loaded ({exc}); correct the connector") from exc
        return lambda rung: stop(rung, **self.arguments)

    def _run(self, rung: str) -> None:
        subprocess.run(  # noqa: S603 - the connector's own words
            [*self.command, rung], stdin=subprocess.DEVNULL, timeout=COMMAND_S, check=True
        )


def parse_handle(given: object) -> WatchHandle:
    """What a connector gave; `SetupError` when it is no handle."""
    if not isinstance(given, Mapping) or not given.keys() <= KEYS:
        raise _refusal(f"an object of some of {', '.join(sorted(KEYS))}", given)
    if ("command" in given) == ("function" in given):
        raise _refusal("either a command or a function", given)
    rungs = tuple(given.get("rungs", ("hold",)))
    if not rungs or any(rung not in LADDER or rung == "return_to_rest" for rung in rungs):
        raise _refusal("rungs out of hold and release", given)
    return WatchHandle(
        tuple(_texts(given.get("command", ()), given)), _function(given), dict(given.get("arguments", {})), rungs,
        tuple(int(one) for one in given.get("descriptors", ())),
    )  # fmt: skip


def first_safe_rungs(ladder: StopLadder, handle: WatchHandle) -> tuple[Rung, ...]:
    """What the watchdog does, in this order, until one works. `SetupError` when the handle can do nothing safe.

    A ladder that begins otherwise is held all the same: a robot without its runner goes nowhere.
    """
    wanted: tuple[Rung, ...] = ("hold", *(("release",) if "release" in ladder.rungs and ladder.release_is_safe else ()))
    rungs = tuple(rung for rung in wanted if rung in handle.rungs)
    if not rungs:
        raise SetupError(
            f"watch_handle: it can {', '.join(handle.rungs)}, and the stop ladder allows {', '.join(wanted)}: nobody "
            "would stop the robot if the runner died; have the handle hold the robot"
        )
    return rungs


def _texts(value: object, given: Mapping[str, Any]) -> Sequence[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise _refusal("a command as a list of texts", given)
    if "command" in given and not value:
        raise _refusal("a command as a list of texts", given)
    return list(value)


def _function(given: Mapping[str, Any]) -> str:
    name = given.get("function", "")
    if "function" in given and not (isinstance(name, str) and all(name.partition(":"))):
        raise _refusal("a function as module:name", given)
    return str(name)


def _refusal(wanted: str, given: object) -> SetupError:
    return SetupError(f"watch_handle: expected {wanted}, not {given!r:.200}; correct the connector's watch_handle()")
