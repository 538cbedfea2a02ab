"""Running a robot: thin doors to `reflex_runner`, which is imported when one of them is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

from reflex.connector.marks import EpisodeMarks
from reflex.errors import SetupError
from reflex.wording.install import install_line

__all__ = ["Connecting", "RunnerResult", "connect", "run_from_config"]

ClassT = TypeVar("ClassT", bound=type)


class RunnerResult(Protocol):
    """How a run ended, as `reflex_runner` says it."""

    @property
    def ok(self) -> bool: ...

    @property
    def steps(self) -> int: ...

    @property
    def applied_steps(self) -> int: ...

    @property
    def safe_stops(self) -> int: ...

    @property
    def errors(self) -> tuple[Any, ...]: ...

    @property
    def last_action_chunk(self) -> Any: ...  # noqa: ANN401  # numpy's, which who imports this need not have

    @property
    def latency_ms(self) -> Mapping[str, float]: ...

    @property
    def overruns(self) -> int: ...

    @property
    def stale_observations(self) -> int: ...

    def as_dict(self) -> dict[str, Any]: ...


class Connecting(Protocol):
    """What `connect` returns: a decorator of classes, and a context manager."""

    def __call__(self, own: ClassT, /) -> ClassT: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None, /
    ) -> None: ...

    def run(self, max_steps: int | None = None) -> RunnerResult: ...


def run_from_config(
    path: str | PathLike[str],
    on_heartbeat: Callable[[Mapping[str, Any]], None] | None = None,
    *,
    episodes: EpisodeMarks | None = None,
) -> RunnerResult:
    """Run the robot of a `robot.yaml` until it is stopped; only where its mode is apply_actions does it move.

    `on_heartbeat` gets the numbers every `session.heartbeat_interval_s`: steps, appliedSteps, safeStops, errors,
    latencyMs. `episodes` says where episodes begin and end; only they are recorded then. Raises `SetupError` and the
    runner's errors for what cannot begin; what happens later is in the result.
    """
    result: RunnerResult = _runner("run").run_from_config(path, on_heartbeat, episodes=episodes)
    return result


def connect(
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    kind: Literal["act", "stream", "openpi"] | None = None,
    mode: Literal["dry_run", "apply_actions"] | None = None,
    instruction: str | None = None,
    deployment_id: str | None = None,
    robot_id: str | None = None,
    record: bool | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    on_heartbeat: Callable[[Mapping[str, Any]], None] | None = None,
    episodes: EpisodeMarks | None = None,
) -> Connecting:
    """Connect a robot to a policy: as a decorator of a class of your own, or as a context manager.

        @reflex.connect(url="http://localhost:8000", instruction="pick up the red cup")
        class Arm:
            @reflex.observation
            def look(self): return {"state": self.joints(), "images": {"front": self.picture()}}

            @reflex.action
            def move(self, command): self.send(command)

        print(Arm().run(max_steps=300).as_dict())

        with reflex.connect("robot.yaml") as robot:
            robot.run(max_steps=300)

    `config` is a `robot.yaml`, or a mapping of its sections; the arguments count before it. The mode is dry_run unless
    it says otherwise, and then the action is never called. `episodes` marks what is recorded as episodes.
    """
    connecting: Connecting = _runner("connecting").connecting(
        config,
        session={"mode": mode, "instruction": instruction, "deployment_id": deployment_id, "robot_id": robot_id},
        target={"url": url, "kind": kind},
        record=record,
        api_key=api_key,
        convex_url=convex_url,
        on_heartbeat=on_heartbeat,
        episodes=episodes,
    )
    return connecting


def _runner(module: str) -> Any:  # noqa: ANN401  # a module, known only at run time
    try:
        return importlib.import_module(f"reflex_runner.running.{module}")
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.startswith("reflex"):
            raise
        raise SetupError(
            f"a run needs the package {exc.name}, which is not installed: {install_line('runner')}"
        ) from exc
