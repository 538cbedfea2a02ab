"""Walks docs/first-session.md as its reader does: two terminals, every command in its order, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs.documents import REPOSITORY, blocks_of
from support.server import free_port
from support.waiting import HANGS_S, wait_until

__all__ = ["GUIDE", "SDK_PAGE", "Walked", "walking"]

GUIDE_HANGS_S: Final = 4 * HANGS_S
"""Some twenty commands one after the other, on a machine that does other work."""
GUIDE: Final = REPOSITORY / "docs" / "first-session.md"
SDK_PAGE: Final = REPOSITORY / "docs" / "sdk.md"
NAMES: Final = ("MODEL", "SCHEMA", "ROBOT", "DEPLOYMENT", "ROBOT_KEY", "SESSION")
WAITS: Final = """
# The guide says how long it takes where nothing else runs; here it takes as long as it takes.
waits=0
sleep() {
  waits=$((waits + 1))
  until reflex sessions list --json | python -c '
import json, sys
[session] = json.load(sys.stdin)["sessions"]
sys.exit(not (session["steps"] >= 50 if sys.argv[1] == "1" else session["appliedSteps"] > 0))' "$waits"
  do command sleep 0.3; done
}
"""


@dataclass(frozen=True)
class Walked:
    """What the reader has at the end; the servers still run. `ids` are the variables of the guide's shell."""

    bin: Path
    folder: Path
    url: str
    printed: str
    ids: dict[str, str]

    def environment(self, key: str | None = None) -> dict[str, str]:
        """The reader's own; with a key in place of the one that `reflex login` stored."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REFLEX_")}
        own = {
            "PATH": f"{self.bin}{os.pathsep}{kept['PATH']}",
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "REFLEX_CONFIG_DIR": str(self.folder / "config"),
            "REFLEX_CONVEX_URL": self.url,
        }
        return kept | own | ({} if key is None else {"REFLEX_API_KEY": key})

    def run(self, *command: str, key: str | None = None, cwd: Path | None = None) -> str:
        """Its stdout; fails with its stderr when it ends with another code than 0."""
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.environment(key),
            capture_output=True,
            text=True,
            timeout=GUIDE_HANGS_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def robot_alive(self) -> Iterator[None]:
        """Its runner says so again and again."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(1.0):
                self.run("reflex", "robots", "heartbeat", self.ids["ROBOT"], key=self.ids["ROBOT_KEY"])

        self.run("reflex", "robots", "heartbeat", self.ids["ROBOT"], key=self.ids["ROBOT_KEY"])
        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(HANGS_S)

    def sdk_page(self) -> str:
        """Its blocks as one program, with ids that exist in place of those that are printed."""
        program = "\n".join(block.code for block in blocks_of(SDK_PAGE) if block.language == "python")
        for printed, name in (("model_abc123", "MODEL"), ("deploy_abc123", "DEPLOYMENT"), ("robot_xyz789", "ROBOT")):
            assert printed in program
            program = program.replace(printed, self.ids[name])
        return program


@contextlib.contextmanager
def walking(bin_folder: Path, folder: Path) -> Iterator[Walked]:
    """The guide from its first command to its last, with the programs of `bin_folder`."""
    for name in ("model_repository", "examples"):
        (folder / name).symlink_to(REPOSITORY / name)
    port, control_port = free_port(), free_port()
    fresh = Walked(bin_folder, folder, f"http://127.0.0.1:{control_port}", "", {})
    install, servers, *rest = [block.code for block in blocks_of(GUIDE) if block.language == "bash"]
    assert install.startswith("pip install ")
    with _terminal_1(fresh, servers, port, control_port):
        script = "\n".join(rest).replace(":8000", f":{port}").replace(":8100", f":{control_port}")
        printed = fresh.run("bash", "-euo", "pipefail", "-c", WAITS + script + _saying(NAMES))
        ids = dict(re.findall(r"^id (\w+)=(\S+)$", printed, re.MULTILINE))
        yield Walked(bin_folder, folder, fresh.url, printed, ids)


def _saying(names: tuple[str, ...]) -> str:
    return "".join(f'\necho "id {name}=${name}"' for name in names)


@contextlib.contextmanager
def _terminal_1(reader: Walked, command: str, port: int, control_port: int) -> Iterator[None]:
    """The servers, in a process group as a terminal gives them, until Ctrl-C."""
    log = reader.folder / "terminal-1.log"
    started = command.strip().replace("reflex up", f"reflex up --port {port} --control-port {control_port}")
    with log.open("wb") as to:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {started}"], cwd=reader.folder, env=reader.environment(), stdout=to,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: _is_up(process, log), "both servers are ready", timeout_s=2 * HANGS_S)
        yield
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(HANGS_S) in (0, 130), log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return "all is up" in log.read_text()
