"""`hardware.kind: sim`: the simulated arm, its two cameras and its cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field, Strict

from reflex.connector import ActionChunk, CameraFrame, Connector, Observation
from reflex_runner.config.strict import parse_section
from reflex_runner.errors import RunnerError
from reflex_runner.simulation.arms import LiveArm, SteppedArm
from reflex_runner.simulation.axes import EMBODIMENT, UNITS
from reflex_runner.simulation.expert_transport import ExpertTransport
from reflex_runner.simulation.eyes import CAMERAS, LARGEST_PX, SMALLEST_PX
from reflex_runner.simulation.faults import FaultInjector, Faults
from reflex_runner.simulation.remote_arm import STOP, RemoteArm
from reflex_runner.simulation.studio import Studio
from reflex_runner.simulation.world import Wanted, World

__all__ = ["SimConnector", "SimSettings", "build"]

WIDTH_PX, HEIGHT_PX = LARGEST_PX
Whole = Annotated[int, Strict()]


@dataclass(frozen=True, slots=True)
class SimSettings:
    """What `hardware` may say beside its kind."""

    seed: Annotated[Whole, Field(ge=0)] = 0
    """Of where the cube lies and how the arm stands at the start."""
    width: Annotated[Whole, Field(ge=SMALLEST_PX, le=WIDTH_PX)] = 96
    height: Annotated[Whole, Field(ge=SMALLEST_PX, le=HEIGHT_PX)] = 96
    """Of the pictures, in pixels."""
    realtime: Annotated[bool, Strict()] = True
    """false: time passes with the commands alone, as fast as they come."""
    own_process: Annotated[bool, Strict()] = True
    """In real time: the arm goes on when the runner is killed, and costs its control loop nothing."""
    cameras: Annotated[Mapping[str, Literal["front", "wrist"]], Field(min_length=1)] = field(
        default_factory=lambda: {name: name for name in CAMERAS}
    )
    """What each is called, and which of the two it is; those that are not named are not drawn."""
    varied_looks: Annotated[bool, Strict()] = False
    """Each seed has colours, light and a place of the front camera of its own."""
    wanted: Wanted | None = None
    """With it a second cube, a green one, lies beside the red one, and the one of that colour is to be lifted."""
    faults: Faults = field(default_factory=Faults)


def build(cfg: Mapping[str, Any]) -> Connector:
    """The simulated arm of these settings, not started yet."""
    faults = parse_section(Faults, _faults_in(cfg), "hardware.faults")
    return SimConnector(parse_section(SimSettings, {**cfg, "faults": faults}, "hardware"))


def _faults_in(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    found = cfg.get("faults")
    return found if isinstance(found, Mapping) else {} if found is None else {"faults": found}


class SimConnector:
    """A robot like any other, but for `expert`, who knows where the cube is, `reset`, and `succeeded`: how it went."""

    embodiment: Final = EMBODIMENT
    units: Final = UNITS
    calibration_id: Final = "simulated"
    is_simulation: Final = True

    def __init__(self, settings: SimSettings | None = None) -> None:
        self.settings = settings or SimSettings()
        self._started: SteppedArm | RemoteArm | None = None
        self._last: SteppedArm | RemoteArm | None = None

    def start(self) -> None:
        """Build the scene and open the cameras; the arm stands, and stays."""
        self._started = self._last = self._built()
        self._started.start()

    def get_observation(self) -> Observation:
        """The newest state and pictures, with their moments."""
        state, captured_s = self._arm.measure()
        return Observation(state, self._named(self._arm.pictures()), captured_s=captured_s)

    def apply_action(self, chunk: ActionChunk) -> None:
        """Set where the servos go."""
        self._arm.command(chunk.actions, chunk.step_s)

    def safe_stop(self, reason: str = "") -> None:  # noqa: ARG002
        """Hold the arm where it is."""
        if self._started is not None:
            self._started.hold()

    def stop(self) -> None:
        """End the simulation."""
        arm, self._started = self._started, None
        if arm is not None:
            arm.stop()

    def frames(self) -> Mapping[str, CameraFrame]:
        """The newest pictures, at once; none before the start and after the end. For whoever records or shows."""
        arm = self._started
        return {} if arm is None else self._named(arm.newest_pictures())

    @property
    def camera_names(self) -> tuple[str, ...]:
        """As its observations have them."""
        return tuple(self.settings.cameras)

    def expert(self) -> ExpertTransport:
        """The scripted expert for this arm, as what a run asks for actions."""
        return ExpertTransport(lambda: self._arm.sight())

    def reset(self, seed: int) -> None:
        """Begin the episode of that seed: now where time passes with the commands alone, else with the next start."""
        self.settings = replace(self.settings, seed=seed)
        if isinstance(self._started, SteppedArm) and self.is_stepped:
            self._started.reset(seed)
        elif self._started is None:
            self._last = None

    @property
    def is_stepped(self) -> bool:
        """Whether time passes with the commands alone."""
        return not self.settings.realtime

    @property
    def succeeded(self) -> bool:
        """Whether the episode that was begun last has succeeded: the cube was lifted."""
        return self.has_lifted

    def watch_handle(self) -> dict[str, Any] | None:
        """How another process stops the arm; None where it dies with this one."""
        arm = self._started
        return {"function": STOP, "arguments": {"address": arm.address}} if isinstance(arm, RemoteArm) else None

    @property
    def has_lifted(self) -> bool:
        """Whether the cube was in the hand, 6 cm over the table, since the start; also told after `stop`."""
        return self._last is not None and self._last.has_lifted

    def _built(self) -> SteppedArm | RemoteArm:
        settings = self.settings
        if settings.realtime and settings.own_process:
            return RemoteArm({**asdict(settings), "views": self._views})
        world = World(settings.seed, varied_looks=settings.varied_looks, wanted=settings.wanted)
        studio = Studio(world.model, settings.width, settings.height, self._views)
        made = LiveArm if settings.realtime else SteppedArm
        return made(world, studio, FaultInjector(settings.faults, settings.seed))

    @property
    def _views(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.settings.cameras.values()))

    def _named(self, pictures: Mapping[str, CameraFrame]) -> dict[str, CameraFrame]:
        return {name: pictures[view] for name, view in self.settings.cameras.items() if view in pictures}

    @property
    def _arm(self) -> SteppedArm | RemoteArm:
        if self._started is None:
            raise RunnerError("the simulated arm is not started")
        return self._started
