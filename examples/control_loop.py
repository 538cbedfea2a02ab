"""Runs a policy on an arm, chunk after chunk, at the policy's own rate. The arm is a fake: put yours in its place.

python examples/control_loop.py http://127.0.0.1:8000 10      # the server, and for how many seconds
"""

import sys
import time
from pathlib import Path

import numpy as np

from reflex.client import ReflexClient
from reflex.embodiments import Embodiment
from reflex.errors import ReflexError
from reflex.guard import ActionGuard


class FakeArm:
    """Four methods are all that the loop needs. This arm is where it was last told to go, and looks at a cube."""

    def __init__(self, robot: Embodiment) -> None:
        self.robot, self.moves, self.holds = robot, 0, 0

    def picture(self) -> Path:
        return Path(__file__).with_name("cube.jpg")

    def state(self) -> list[float]:
        return list(self.robot.mean_state)

    def move(self, action: np.ndarray) -> None:  # position targets, in robot.action_units
        self.moves += 1

    def hold(self) -> None:  # stay at the last target: zeros would be a pose like any other
        self.holds += 1


def run(client: ReflexClient, arm: FakeArm, robot: Embodiment, *, seconds: float) -> None:
    config = client.config()
    policy = config.get("a", config)  # of two policies, which take the same
    steps = policy.get("n_action_steps") or policy["horizon"] // 2  # later steps of a chunk are guesses: ask again
    guard, last, period_s = ActionGuard(robot), None, 1 / robot.control_hz
    ends_at = time.monotonic() + seconds
    try:
        with client.episode(instruction="pick up the cube") as episode:
            while time.monotonic() < ends_at:
                try:  # a position-controlled arm stands still meanwhile, at its last target
                    actions = episode.act(image=arm.picture(), state=arm.state(), deadline_s=0.5)["actions"]
                    chunk = guard.check(np.asarray(actions), previous=last).actions[:steps]  # no jump between chunks
                except ReflexError as error:  # late, refused, broken, not finite: nothing of it may be executed
                    arm.hold()
                    print(f"hold: {error}", file=sys.stderr)
                    time.sleep(period_s)
                    continue
                due = time.monotonic()
                for action in chunk:
                    arm.move(action)
                    last, due = action, due + period_s
                    time.sleep(max(0.0, due - time.monotonic()))
    finally:
        arm.hold()  # also at Ctrl-C


if __name__ == "__main__":
    url, seconds = sys.argv[1:3] if len(sys.argv) > 2 else ("http://127.0.0.1:8000", "10")
    with ReflexClient(url) as client:
        robot = client.embodiment()
        arm = FakeArm(robot)
        run(client, arm, robot, seconds=float(seconds))
    print(f"{arm.moves} actions for {robot.name}, {robot.control_hz:g} a second")
