"""What `reflex.connect` returns: settings of a run, for a class of the user's own or the robot that they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from reflex.connector import Connector
from reflex.connector.marks import EpisodeMarks
from reflex.errors import SetupError
from reflex.sdk.files import read_mapping
from reflex_runner.config.environment import read_environment
from reflex_runner.config.robot_file import parse_robot_config
from reflex_runner.config.sections import RobotConfig
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.running.marked import as_connector, refuse_unmarked
from reflex_runner.running.options import RunOptions
from reflex_runner.running.reporting import OnHeartbeat
from reflex_runner.running.run import run

__all__ = ["Connecting", "connecting"]

ClassT = TypeVar("ClassT", bound=type)
Settings = Mapping[str, Any]


class Connecting:
    """A decorator of classes, and a context manager; `run` can be called again and again."""

    def __init__(
        self, given: Settings, folder: Path, options: RunOptions, on_heartbeat: OnHeartbeat | None, path: Path | None
    ) -> None:
        self._given, self._folder, self._path = given, folder, path
        self._options, self._on_heartbeat = options, on_heartbeat

    def __call__(self, own: ClassT) -> ClassT:
        """Give the class a method `run(max_steps=None)`, which returns a `RunnerResult`."""
        refuse_unmarked(own)
        config = self._config({"kind": f"{own.__module__}:{own.__qualname__}"})

        def run_it(robot: Any, max_steps: int | None = None) -> RunnerResult:  # noqa: ANN401  # an object of the class
            """Run until an observation is None, `max_steps` are done, or something stops it."""
            return self._run(config, max_steps, lambda: as_connector(robot))

        run_it.__name__ = "run"
        own.run = run_it  # type: ignore[attr-defined]  # which is what the decorator is for
        return own

    def __enter__(self) -> Self:
        """Read the settings; `SetupError` for what is wrong in them."""
        self._config(None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing stays open between runs."""

    def run(self, max_steps: int | None = None) -> RunnerResult:
        """Run the robot that the settings name."""
        return self._run(self._config(None), max_steps, None)

    def _config(self, hardware: Settings | None) -> RobotConfig:
        """The class stands in for the hardware of the settings, if they name one."""
        given = {**self._given, "hardware": hardware} if hardware is not None else self._given
        config = parse_robot_config(given, self._folder, self._path)
        return config if read_environment().records else _unrecorded(config)

    def _run(self, config: RobotConfig, max_steps: int | None, build: Callable[[], Connector] | None) -> RunnerResult:
        options = self._options if max_steps is None else _with_steps(self._options, max_steps)
        return run(config, options, self._on_heartbeat, build_robot=build).result


def connecting(
    config: str | PathLike[str] | Settings | None,
    *,
    session: Settings,
    target: Settings,
    record: bool | None,
    api_key: str | None,
    convex_url: str | None,
    on_heartbeat: OnHeartbeat | None,
    episodes: EpisodeMarks | None = None,
) -> Connecting:
    """What was said in arguments counts before the settings; None is what was not said."""
    path = Path(config).absolute() if isinstance(config, str | PathLike) else None
    given: dict[str, Any] = dict(read_mapping(path) if path is not None else config or {})  # type: ignore[arg-type]
    for name, said in (("session", session), ("target", target)):
        given[name] = _joined(given.get(name), {key: value for key, value in said.items() if value is not None})
    if record is False or (record is None and path is None):
        given["recording"] = _joined(given.get("recording"), {"formats": []})
    options = RunOptions(api_key=api_key, convex_url=convex_url, episodes=episodes)
    return Connecting(given, path.parent if path is not None else Path.cwd(), options, on_heartbeat, path)


def _joined(section: object, said: Settings) -> object:
    """A section that is none is left for its reader to refuse."""
    if section is None:
        return dict(said)
    return {**section, **said} if isinstance(section, Mapping) else section


def _unrecorded(config: RobotConfig) -> RobotConfig:
    return replace(config, recording=config.recording.off())


def _with_steps(options: RunOptions, max_steps: int) -> RunOptions:
    if max_steps < 0:
        raise SetupError(f"max_steps is {max_steps}; it is how many steps the run takes, 0 for no end")
    return replace(options, max_steps=max_steps)
