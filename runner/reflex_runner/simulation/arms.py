"""The simulated arm as a thing with a clock: `LiveArm` in real time, `SteppedArm` as fast as it is commanded.

A live arm goes on whether anybody commands it or not, so that one that is held really holds. A stepped one goes on only
by its commands, each for as long as it lasts: an episode takes as long as its computing, and is the same every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.errors import HardwareError
from reflex_runner.simulation.expert import Sight
from reflex_runner.simulation.eyes import Scene
from reflex_runner.simulation.faults import FaultInjector, Measured
from reflex_runner.simulation.studio import Studio
from reflex_runner.simulation.world import CONTROL_PERIOD_S, World

__all__ = ["LiveArm", "SteppedArm"]

FloatArray = npt.NDArray[np.float32]
Frames = Mapping[str, CameraFrame]

QUANTUM_S: Final = 1 / 120
"""By so much the live arm goes on at a time."""
LONGEST_LAG_S: Final = 0.25
"""A machine that was busier than that has lost the time: the arm stood still meanwhile."""
END_S: Final = 10.0


class SteppedArm:
    """Time passes with the commands alone."""

    def __init__(self, world: World, studio: Studio, faults: FaultInjector, clock: Clock = SYSTEM_CLOCK) -> None:
        self._world, self._studio, self._faults, self._clock = world, studio, faults, clock
        self._lock = threading.Lock()
        self._frames: Frames = {}

    def start(self) -> None:
        """Nothing goes on by itself."""

    def command(self, actions: FloatArray, step_s: float) -> None:
        """Carry all of them out."""
        with self._lock:
            for action in actions:
                self._faults.act_on(self._world)
                self._world.command(self._faults.heard(action, self._world))
                self._world.advance(step_s)

    def hold(self) -> None:
        """Stay where the arm is, for a period."""
        with self._lock:
            self._world.hold()
            self._world.advance(CONTROL_PERIOD_S)

    def measure(self) -> Measured:
        """The state now, and when that is."""
        with self._lock:
            return self._faults.reading((self._world.state(), self._clock.now()), self._world)

    def pictures(self) -> Frames:
        """What the cameras see now."""
        with self._lock:
            scene, now = Scene(self._world), self._clock.now()
        drawn = {name: CameraFrame(image, now) for name, image in self._studio.look(scene).items()}
        with self._lock:
            self._frames = self._faults.pictures(drawn, self._world)
        return self._frames

    def newest_pictures(self) -> Frames:
        """The last ones that were taken, at once."""
        return self._frames

    @property
    def has_lifted(self) -> bool:
        """Whether the cube was lifted since the start."""
        return self._world.has_lifted

    def reset(self, seed: int) -> None:
        """Begin the episode of that seed."""
        with self._lock:
            self._world.reset(seed)
            self._faults.begin(seed)

    def sight(self) -> Sight:
        """What the expert knows."""
        with self._lock:
            return Sight(self._world.cube.middle.copy(), self._world.cube.is_held)

    def stop(self) -> None:
        """Close the cameras."""
        self._studio.close()


class LiveArm(SteppedArm):
    """Time passes by itself, in one thread; another draws what the cameras see, at the rate of the embodiment."""

    def __init__(self, world: World, studio: Studio, faults: FaultInjector, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(world, studio, faults, clock)
        self._measured: Measured = (world.state(), clock.now())
        self._trouble: BaseException | None = None
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"reflex-sim-{name}", daemon=True)
            for name, work in (("physics", self._live), ("cameras", self._film))
        ]

    def start(self) -> None:
        """Let time pass, with the first pictures taken."""
        super().pictures()
        for thread in self._threads:
            thread.start()

    def command(self, actions: FloatArray, step_s: float) -> None:
        """Begin with the first one now; each of the others has its moment."""
        self._refuse_when_dead()
        with self._lock:
            for index, action in enumerate(actions):
                self._world.command(self._faults.heard(action, self._world), after_s=index * step_s)

    def hold(self) -> None:
        """Stay where the arm is from now on, whatever was commanded for later."""
        with self._lock:
            self._world.hold()

    def measure(self) -> Measured:
        """The newest state, with the moment when it was measured."""
        self._refuse_when_dead()
        with self._lock:
            return self._faults.reading(self._measured, self._world)

    def pictures(self) -> Frames:
        """The newest ones, with the moments when they were taken."""
        self._refuse_when_dead()
        return self.newest_pictures()

    def stop(self) -> None:
        """Time stands still, and the cameras are closed."""
        self._ended.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(END_S)
        super().stop()

    def _live(self) -> None:
        due = self._clock.now()
        while not self._ended.is_set():
            with self._lock:
                self._faults.act_on(self._world)
                self._world.advance(QUANTUM_S)
                self._measured = (self._world.state(), self._clock.now())
            due = max(due + QUANTUM_S, self._clock.now() - LONGEST_LAG_S)
            self._clock.sleep_until(due)

    def _film(self) -> None:
        due = self._clock.now()
        while not self._ended.is_set():
            super().pictures()
            due = max(due + CONTROL_PERIOD_S, self._clock.now())
            self._clock.sleep_until(due)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001  # told to whoever asks next
            self._trouble = exc

    def _refuse_when_dead(self) -> None:
        if self._trouble is not None:
            raise HardwareError(f"the simulation has ended: {self._trouble}") from self._trouble
