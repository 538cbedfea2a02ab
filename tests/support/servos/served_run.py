"""`reflex connect` as a process of its own, for an SO-101 on a pty and a server that it asks all the time."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.images import encoded, photo
from support.servos.arms import calibrate, write_file
from support.servos.chain import Chain
from support.servos.wires import pty_bus
from support.waiting import HANGS_S

__all__ = ["ServedRun", "give_up_real_time", "run_beside"]

PICTURE_PX: Final = 128
SYNC_WRITE: Final = 0x83
PR_CAPBSET_DROP: Final = 24
CAP_SYS_NICE: Final = 23


@dataclass(frozen=True)
class ServedRun:
    result: dict[str, Any]
    ticks: list[dict[str, Any]]
    """Of its recording: each period of the control loop."""
    chunks: int
    first_command_s: float
    """From the start of the process until the servos heard the first command."""


class _Watched(Chain):
    """Notes when the first command came."""

    commanded_s: float | None = None

    def _write(self, id_: int, address: int, data: bytes) -> None:
        if self.packets[-1][4] == SYNC_WRITE and self.commanded_s is None:
            self.commanded_s = time.monotonic()
        super()._write(id_, address, data)


def give_up_real_time() -> None:
    """In a process that is about to begin: it may not go before the others of the machine."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_SYS_NICE, 0, 0, 0)


def run_beside(url: str, folder: Path, *, steps: int, begin: Callable[[], None] | None = None) -> ServedRun:
    """The server's policy has two cameras; here they are folders of pictures. `begin` is called in the process."""
    chain = _Watched()
    with pty_bus(calibrate(chain)) as servos:
        write_file(folder / "calibration")
        environment = os.environ | {
            "REFLEX_SO101_PORT": servos.port,
            "HF_LEROBOT_CALIBRATION": str(folder / "calibration"),
        }
        config = _robot_yaml(url, folder, steps)
        command = [sys.executable, "-m", "reflex.cli", "connect", "--config", str(config), "--json"]
        began_s = time.monotonic()
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANGS_S + steps,
            preexec_fn=begin,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert chain.commanded_s is not None
    result = json.loads(done.stdout)
    lines = [json.loads(line) for line in _recorded(result).read_text("utf-8").splitlines()]
    chunks = sum(line.get("kind") == "chunk" for line in lines)
    ticks = [line for line in lines if line.get("kind") == "tick"]
    return ServedRun(result, ticks, chunks, chain.commanded_s - began_s)


def _robot_yaml(url: str, folder: Path, steps: int) -> Path:
    cameras = {}
    for name in ("front", "wrist"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            picture = encoded(photo(number, PICTURE_PX, PICTURE_PX), "PNG")
            (folder / name / f"{number}.png").write_bytes(picture)
        cameras[name] = {"kind": "file", "path": name, "fps": 30, "max_image_age_ms": 20_000}
    given = {
        "session": {"mode": "apply_actions", "max_steps": steps, "instruction": "pick up the cube"},
        "target": {"kind": "act", "url": url, "timeout_s": 10, "connect_timeout_s": 60},
        "hardware": {"kind": "so101", "retries": 20},
        "cameras": cameras,
        "safety": {"hold_after_ms": 20_000, "stop_after_ms": 50_000, "stop_ladder": ["hold"], "ease_in_s": 0.1},
        "recording": {"dir": "recordings", "formats": ["jsonl"]},
    }
    path = folder / "robot.yaml"
    path.write_text(json.dumps(given), encoding="utf-8")
    return path


def _recorded(result: dict[str, Any]) -> Path:
    [folder] = result["recordings"]
    [file] = (Path(folder) / "jsonl").glob("*.jsonl")
    return file
