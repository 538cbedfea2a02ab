"""`RemoteArm`: the simulated arm in a process of its own, which goes on when this one is killed, as an arm does.

Nor does its physics, or the drawing of its pictures, take anything from the control loop of this process.
"""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame
from reflex.errors import SetupError
from reflex_runner.errors import HardwareError, NoPicturesError, RunnerError
from reflex_runner.simulation import arm_process, speaking
from reflex_runner.simulation.expert import Sight
from reflex_runner.simulation.speaking import Spoken, call, connect, speak

__all__ = ["STOP", "RemoteArm"]

START_S: Final = 60.0
LONGEST_ADDRESS_BYTES: Final = 100
"""Systems take 104 to 108 for the path of a socket."""
END_S: Final = 10.0
STOP: Final = f"{speaking.__name__}:{speaking.stop_arm.__name__}"
"""What the watchdog calls."""
RAISED: Final[Mapping[str, type[RunnerError | SetupError]]] = {
    NoPicturesError.code: NoPicturesError, SetupError.code: SetupError
}  # fmt: skip
"""By the code that the process says when it cannot begin."""


class RemoteArm:
    """The same as a `LiveArm`; `settings` are those of `arm_process.build_arm`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._locks = threading.Lock(), threading.Lock()
        self._commands: socket.socket | None = None
        self._questions: socket.socket | None = None
        self._frames: Mapping[str, CameraFrame] = {}
        self.address = ""
        self.has_lifted = False
        """As told with the newest state, and at the end."""

    def start(self) -> None:
        """Start the process, and wait until its first pictures are taken."""
        self.address = str(Path(tempfile.mkdtemp(prefix="reflex-sim-")) / "arm")
        if len(self.address.encode()) > LONGEST_ADDRESS_BYTES:
            shutil.rmtree(Path(self.address).parent)
            raise SetupError(f"the path {self.address} is too long for a socket; set TMPDIR to a shorter folder")
        told = json.dumps({**self._settings, "address": self.address})
        # A session of its own: Ctrl-C at the terminal is for the runner, which then stops the arm.
        self._process = subprocess.Popen(  # noqa: S603  # this Python, and a module of ours
            [sys.executable, "-m", arm_process.__name__, told], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self._await_ready(self._process)
        self._commands, self._questions = connect(self.address), connect(self.address)
        self.measure()

    def command(self, actions: npt.NDArray[np.float32], step_s: float) -> None:
        """Sent, and not waited for."""
        content = np.ascontiguousarray(actions, np.float32)
        with self._locks[0]:
            try:
                speak(
                    _open(self._commands),
                    {"do": "command", "shape": content.shape, "step_s": step_s},
                    content.tobytes(),
                )
            except OSError as exc:
                raise _gone(exc) from exc

    def hold(self) -> None:
        """Stay where the arm is, after all commands before."""
        with self._locks[0]:
            self._asked(self._commands, {"do": "hold"})

    def measure(self) -> tuple[Any, float]:
        """The newest state with its moment; the pictures that are new come along."""
        seen = {name: frame.captured_s for name, frame in self._frames.items()}
        with self._locks[1]:
            words, content = self._asked(self._questions, {"do": "look", "seen": seen})
        self._frames = {**self._frames, **_frames_in(words["pictures"], content)}
        self.has_lifted = words["has_lifted"]
        return np.array(words["state"], np.float32), words["captured_s"]

    def pictures(self) -> Mapping[str, CameraFrame]:
        """Those that came with the newest state."""
        return self._frames

    def newest_pictures(self) -> Mapping[str, CameraFrame]:
        """The same."""
        return self._frames

    def sight(self) -> Sight:
        """What the expert knows."""
        with self._locks[1]:
            words, _ = self._asked(self._questions, {"do": "sight"})
        return Sight(np.array(words["cube"]), words["is_held"])

    def stop(self) -> None:
        """End the process, whatever it does; may be called twice, and after a start that failed."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if self._questions is not None:
                self.has_lifted = bool(call(self._questions, {"do": "end"})[0].get("has_lifted"))
            process.wait(END_S)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            process.kill()
        finally:
            self._close(process)

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        for line in (self._commands, self._questions):
            if line is not None:
                line.close()
        with process:
            process.wait()
        shutil.rmtree(Path(self.address).parent, ignore_errors=True)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        said = process.stdout
        told = said.readline() if said is not None and select.select([said], [], [], START_S)[0] else b""
        words = (
            json.loads(told) if told else {"code": "", "message": "it said nothing; its own words, if any, are above"}
        )
        if words["code"] != arm_process.READY:
            raise RAISED.get(words["code"], HardwareError)(
                words["message"] if words["code"] in RAISED else f"the simulation did not start: {words['message']}"
            )

    def _asked(self, line: socket.socket | None, words: Mapping[str, Any]) -> Spoken:
        try:
            answer, content = call(_open(line), words)
        except (OSError, EOFError) as exc:
            raise _gone(exc) from exc
        if "error" in answer:
            raise HardwareError(str(answer["error"]))
        return answer, content


def _open(line: socket.socket | None) -> socket.socket:
    if line is None:
        raise RunnerError("the simulated arm is not started")
    return line


def _gone(exc: Exception) -> HardwareError:
    return HardwareError(
        f"the simulation has ended or does not answer ({str(exc) or type(exc).__name__}); start the run anew"
    )


def _frames_in(told: Mapping[str, Any], content: bytes) -> dict[str, CameraFrame]:
    frames, begin = {}, 0
    for name, (captured_s, shape) in told.items():
        end = begin + int(np.prod(shape))
        frames[name] = CameraFrame(np.frombuffer(content[begin:end], np.uint8).reshape(shape), captured_s)
        begin = end
    return frames
