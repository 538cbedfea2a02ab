"""Drives a simulated arm in a session of the control plane, until the session ends or Ctrl-C.

REFLEX_API_KEY=rfx_... python examples/session_loop.py DEPLOYMENT_ID ROBOT_ID

The key is the robot's own, as `reflex robots claim` prints it. In dry_run the loop does all it does but move; once
somebody has promoted the session it moves, and when somebody closes it, it holds and ends.
"""

import sys
import threading
import time
from pathlib import Path

import numpy as np

import reflex
from reflex.client import ReflexClient
from reflex.errors import ReflexError
from reflex.guard import ActionGuard

PICTURE = Path(__file__).with_name("cube.jpg")


class Session:
    """Leave to drive one robot. A thread renews it by heartbeats, whose answers say whether the robot may move."""

    def __init__(self, deployment_id: str, robot_id: str) -> None:
        grant = reflex.authorize_session(deployment_id=deployment_id, robot_id=robot_id)
        self.id, self.robot_id, self.beat_s = grant["sessionId"], robot_id, grant["heartbeatSeconds"] / 3
        self.url = grant["actUrl"] if isinstance(grant["actUrl"], str) else grant["actUrl"][0]
        self.credential, self.mode, self.latency_ms = grant["credential"], grant["mode"], 0.0
        self.counts = {"steps": 0, "applied_steps": 0, "guard_violations": 0, "refused_chunks": 0}
        self.over = threading.Event()
        threading.Thread(target=self._beat_on, daemon=True).start()

    def _beat_on(self) -> None:
        while not self.over.is_set():
            try:
                answer = reflex.heartbeat_robot(
                    self.robot_id, session_id=self.id, mode=self.mode, latency_ms=self.latency_ms, **self.counts
                )
                if answer["credential"] is None:  # closed, expired, or taken over
                    self.over.set()
                self.credential, self.mode = answer["credential"] or self.credential, answer["mode"]
            except ReflexError as error:  # without answers the credential runs out, and /act refuses it
                print(f"heartbeat: {error}", file=sys.stderr)
            self.over.wait(self.beat_s)


def drive(session: Session) -> None:
    # Asked before every request: each heartbeat brings a new credential.
    with ReflexClient(session.url, api_key=lambda: session.credential) as client:
        robot, guard, last = client.embodiment(), ActionGuard(client.embodiment()), None
        with client.episode(instruction="pick up the cube") as episode:
            while not session.over.is_set():
                asked_s = time.monotonic()
                try:
                    answer = episode.act(image=PICTURE, state=robot.mean_state, deadline_s=2.0)
                    chunk = guard.check(np.asarray(answer["actions"]), previous=last)
                except ReflexError as error:  # hold: nothing of this chunk may be executed
                    session.counts["refused_chunks"] += error.code == "non_finite_action"
                    print(f"hold: {error}", file=sys.stderr)
                    session.over.wait(0.5)
                    continue
                session.latency_ms = (time.monotonic() - asked_s) * 1e3
                session.counts["guard_violations"] += len(chunk.violations)
                for action in chunk.actions:
                    if session.over.is_set():
                        return
                    session.counts["steps"] += 1
                    # Of what the control plane and the server say, the stricter one holds.
                    if session.mode == answer["mode"] == "apply_actions":
                        last = action  # your arm.move(action) stands here
                        session.counts["applied_steps"] += 1
                    time.sleep(1 / robot.control_hz)


def main(deployment_id: str, robot_id: str) -> None:
    session = Session(deployment_id, robot_id)
    print(f"session {session.id}: {session.mode}", flush=True)
    try:
        drive(session)
        print(f"{session.id} has ended; {session.counts['applied_steps']} of {session.counts['steps']} steps moved")
    finally:
        session.over.set()
        reflex.close_session(session.id, reason="loop_ended")  # one that has ended stays as it is


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except ReflexError as error:
        sys.exit(f"session_loop: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
