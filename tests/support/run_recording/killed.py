"""Runs that are killed while they record, at random instants: `killed.py FOLDER KILLS SEED FORMAT...`.

Everything is imported once; each run is a fork of this process with a folder of its own in FOLDER, and its writer a
fork of that. A third of the kills meets the run alone, whose writer then ends by itself; a third the writer, and then
the run; a third both at once. FOLDER/killed.json says whom.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from reflex_runner.recording.formats.choosing import CLASSES, chosen
from reflex_runner.recording.recorder import Recorder
from reflex_runner.recording.writer import Writer
from reflex_runner.recording.writer_process import remove_lock
from reflex_runner.recording.writing import News, write_recording
from support.run_recording.runs import facts, play

MOST_EPISODES: Final = 4
"""How many have ended when a run is killed is below this."""
LONGEST_S: Final = 0.3
HANGS_S: Final = 60.0
TICKS: Final = 12
VICTIMS: Final = ("run", "writer", "both")


class ForkedWriter:
    """The same code in a process that has loaded it already, in the group of the run that it writes for."""

    def __init__(self, line: socket.socket, lock: int, path: Path, hear: Callable[[News], None]) -> None:
        news, told = os.pipe()
        run = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _close_all_but(line.fileno(), lock, told)
                write_recording(line, lambda _: _write(told))
                if os.getppid() != run:
                    remove_lock(lock, path)
            finally:
                os._exit(0)
        (path.parent.parent / "writer.pid").write_text(str(self.pid))
        line.close()
        os.close(told)
        threading.Thread(target=_hear_ready, args=(news, hear), daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Nobody waits: the run is killed."""
        raise AssertionError(timeout_s)


def _hear_ready(news: int, hear: Callable[[News], None]) -> None:
    if os.read(news, 1):
        hear({"ready": True})


def _close_all_but(*kept: int) -> None:
    """Above all the run's end of the line, by which the writer hears that it is gone."""
    for descriptor in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor not in kept:
            with suppress(OSError):
                os.close(descriptor)


def _write(told: int) -> None:
    with suppress(OSError):  # the run is gone
        os.write(told, b".")


def start_forked(line: socket.socket, lock: int, path: Path, hear: Callable[[News], None]) -> Writer:
    """As `start_process`."""
    return ForkedWriter(line, lock, path, hear)


def record_until_killed(parent: Path, formats: Sequence[str]) -> None:
    """One episode after the other, each when the one before is written down, as a robot in real time has it."""
    recorder = Recorder(
        parent, facts(), formats, marked_episodes=True, keep_free_bytes=0, start_writer=start_forked
    )  # fmt: skip
    recorder.start()
    episodes = recorder.folder / "episodes.jsonl"
    for number in itertools.count():
        recorder.begin_episode()
        play(recorder, TICKS, first=number * 20)
        recorder.end_episode(success=True)
        while not episodes.exists() or episodes.read_bytes().count(b"\n") <= number:
            time.sleep(0.002)


def wait_for_episodes(parent: Path, episodes: int) -> None:
    """However busy the machine is: until so many have ended."""
    given_up_s = time.monotonic() + HANGS_S
    while sum(file.read_bytes().count(b"\n") for file in parent.glob("*/episodes.jsonl")) < episodes:
        if time.monotonic() > given_up_s:
            sys.exit(f"{parent}: no {episodes} episodes have ended")
        time.sleep(0.002)


def kill(run: int, folder: Path, victim: str) -> None:
    """Whoever is meant, and whoever of the two cannot end by itself."""
    file = folder / "writer.pid"
    writer = int(file.read_text() or "0") if file.exists() else 0
    if victim != "run" and writer:
        os.kill(writer, signal.SIGKILL)
    if victim == "writer":
        time.sleep(LONGEST_S / 10)
    os.kill(run, signal.SIGKILL)
    _, status = os.waitpid(run, 0)
    if os.WTERMSIG(status) != signal.SIGKILL:
        sys.exit(f"{folder}: it ended by itself: {status}")
    ends_s = time.monotonic() + HANGS_S
    while writer and Path(f"/proc/{writer}").exists() and _state_of(writer) != "Z":
        if time.monotonic() > ends_s:
            sys.exit(f"{folder}: its writer does not end")
        time.sleep(0.002)


def _state_of(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"


def main() -> None:
    folder, kills, seed, formats = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    instants = random.Random(seed)
    killed = {}
    for name in chosen(formats):
        importlib.import_module(CLASSES[name][0])
    for number in range(kills):
        own = folder / f"{number:03d}"
        child = os.fork()
        if child == 0:
            try:
                record_until_killed(own, formats)
            finally:
                os._exit(1)
        wait_for_episodes(own, instants.randrange(MOST_EPISODES))
        time.sleep(instants.uniform(0.0, LONGEST_S))
        killed[own.name] = VICTIMS[number % len(VICTIMS)]
        kill(child, own, killed[own.name])
    (folder / "killed.json").write_text(json.dumps(killed))


if __name__ == "__main__":
    main()
