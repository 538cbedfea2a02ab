"""Makes the virtual environment and installs into it; says every few seconds how far that is, for pip may say nothing.

    python3 tools/install.py .venv '.[dev]'

Needs Python alone: it runs before anything is installed. What pip downloads lies in the environment's own folder
meanwhile, so that it can be counted, and /tmp need not hold it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SAYS_EVERY_S: Final = 2.0
INTERRUPTED: Final = 130
TERMINATED: Final = 143


def main(folder: str, wanted: str) -> int:
    """The exit code of the step that failed, or 0."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    environment = Path(folder).absolute()
    try:
        return make_environment(environment) or install(environment, wanted)
    except KeyboardInterrupt:
        return INTERRUPTED


def make_environment(environment: Path) -> int:
    return run([sys.executable, "-m", "venv", str(environment)], lambda: "making the virtual environment")


def install(environment: Path, wanted: str) -> int:
    pip = [
        str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", "constraints.txt", "--editable", wanted,
    ]  # fmt: skip
    with TemporaryDirectory(prefix="downloads-", dir=environment, ignore_cleanup_errors=True) as downloads:
        return run(pip, lambda: how_far(environment, Path(downloads)), TMPDIR=downloads)


def how_far(environment: Path, downloads: Path) -> str:
    sizes = [size_of(path) for path in downloads.glob("pip-unpack-*/*.whl")]
    installed = sum(1 for _ in environment.glob("lib/python*/site-packages/*.dist-info"))
    return f"{len(sizes)} packages downloaded ({sum(sizes) / 1e6:.0f} MB), {installed} installed"


def size_of(path: Path) -> int:
    """In bytes; 0 of a file that has just gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def run(command: Sequence[str], how_far: Callable[[], str], **variables: str) -> int:
    """Its exit code. The command ends with this program, whatever ends it."""
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **variables})
    try:
        while process.returncode is None:
            print(f"  {time.monotonic() - started:.0f} s: {how_far()}", file=sys.stderr, flush=True)
            wait_a_while(process)
        return process.returncode
    finally:
        process.terminate()
        process.wait()


def wait_a_while(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SAYS_EVERY_S)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
