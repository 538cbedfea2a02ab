"""Somebody who has just heard of Reflex: a bare Debian with what the README asks for, and what its terminal shows when.

No package, cache or environment of this machine is in it; only where pip gets packages from, as in the images' builds.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from compose.engine import REPOSITORY, Engine
from support.waiting import wait_until

__all__ = ["Newcomer", "Step", "Terminal", "prepared_image", "running_newcomer"]

IMAGE: Final = "reflex-test-newcomer"
PREPARES: Final = (
    "apt-get update && apt-get install --yes --no-install-recommends git make python3-venv"
    " && rm -rf /var/lib/apt/lists && useradd --create-home newcomer"
)
PREPARES_S: Final = 300.0
HANGS_S: Final = 600.0
"""Far beyond the promise, so that a slow machine still gets its table."""


@dataclass(frozen=True)
class Step:
    """A part of the way, from what was seen to what was seen."""

    name: str
    took_s: float
    silent_s: float
    """The longest time without a character."""

    def __str__(self) -> str:
        return f"{self.name:<42} {self.took_s:8.1f} {self.silent_s:8.1f}"


@dataclass
class Terminal:
    """What came on the screen, and when."""

    seen: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.seen)

    def moment_of(self, pattern: str) -> float | None:
        """When the first text was whole that matches."""
        text = ""
        for moment, more in self.seen:
            text += more
            if re.search(pattern, text):
                return moment
        return None

    def step(self, name: str, since_s: float, pattern: str) -> Step:
        """From a moment until the pattern was seen."""
        until_s = self.moment_of(pattern)
        assert until_s is not None, f"never seen: {pattern}\n{self.text}"
        moments = [since_s, *(moment for moment, _ in self.seen if since_s < moment < until_s), until_s]
        return Step(name, until_s - since_s, max(after - before for before, after in itertools.pairwise(moments)))


@dataclass(frozen=True)
class Newcomer:
    """Runs `git clone` and `make serve`, whose port this machine's loopback has, too."""

    terminal: Terminal
    process: subprocess.Popen[bytes]

    def waits_for(self, pattern: str) -> None:
        def is_seen() -> bool:
            assert self.process.poll() is None, self.terminal.text
            return self.terminal.moment_of(pattern) is not None

        wait_until(is_seen, f"{pattern} is on the screen", timeout_s=HANGS_S)


@contextlib.contextmanager
def prepared_image(engine: Engine) -> Iterator[str]:
    """The base image with git, make, Python's venv and a user."""
    name = f"{IMAGE}-preparing"
    prepares = ["run", "--name", name, engine.environment["BASE_IMAGE"], "sh", "-euc", PREPARES]
    try:
        engine.docker(*prepares, timeout_s=PREPARES_S)
        engine.docker("commit", "--change", 'CMD ["bash"]', name, IMAGE, timeout_s=PREPARES_S)
        yield IMAGE
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)
        engine.docker("rmi", "--force", IMAGE, check=False)


@contextlib.contextmanager
def running_newcomer(engine: Engine, folder: Path, port: int, *, has_terminal: bool) -> Iterator[Newcomer]:
    """With a pseudo-terminal, or with a pipe as `make serve | tee` has it. What is cloned is the last commit."""
    bundle, name = folder / "reflex.bundle", f"{IMAGE}-{port}"
    subprocess.run(["git", "bundle", "create", "--quiet", str(bundle), "HEAD"], cwd=REPOSITORY, check=True)
    types = f"git clone --progress /reflex.bundle reflex && cd reflex && echo cloned && make serve ARGS='--port {port}'"
    options = ["--name", name, "--network", "host", "--user", "newcomer", "--workdir", "/home/newcomer"]
    options += [*_mounts(engine, bundle), *(["--tty"] if has_terminal else [])]
    process = subprocess.Popen(
        ["docker", "run", "--init", *options, IMAGE, "sh", "-c", types],
        env=engine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    newcomer = Newcomer(Terminal(), process)
    watching = threading.Thread(target=_watch, args=(newcomer,))
    watching.start()
    try:
        yield newcomer
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)
        process.wait()
        watching.join()


def _mounts(engine: Engine, bundle: Path) -> Sequence[str]:
    places = {str(bundle): "/reflex.bundle", engine.environment["PIP_CONF"]: "/etc/pip.conf"}
    if "PIP_CA" in engine.environment:
        places[engine.environment["PIP_CA"]] = "/etc/ssl/reflex-ca.pem"
    return [f"--volume={here}:{there}:ro" for here, there in places.items()]


def _watch(newcomer: Newcomer) -> None:
    assert newcomer.process.stdout is not None
    with newcomer.process.stdout as screen:
        while read := screen.read1(65536):  # type: ignore[attr-defined]
            newcomer.terminal.seen.append((time.monotonic(), read.decode(errors="replace")))
