"""Makes the virtual environment and installs into it; says every few seconds how far that is, for pip may say nothing.

    python3 tools/install.py .venv '.[dev]'

Needs Python alone: it runs before anything is installed. What pip downloads lies in the environment's own folder
meanwhile, so that it can be counted, and /tmp need not hold it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SAYS_EVERY_S: Final = 2.0
INTERRUPTED: Final = 130
TERMINATED: Final = 143
PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")


def main(folder: str, wanted: str) -> int:
    """The exit code of the step that failed, or 0."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    environment = Path(folder).absolute()
    try:
        with alone(environment):
            return make_environment(environment) or install(environment, wanted)
    except KeyboardInterrupt:
        return INTERRUPTED


@contextlib.contextmanager
def alone(environment: Path) -> Iterator[None]:
    """Two at once spoil each other's work: the second waits, and then finds most of it done."""
    place = os.open(environment.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  waiting for another installation into {environment.name}", file=sys.stderr, flush=True)
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def make_environment(environment: Path) -> int:
    return run([sys.executable, "-m", "venv", str(environment)], lambda: "making the virtual environment")


def install(environment: Path, wanted: str) -> int:
    pip = [
        str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", "constraints.txt", "--editable", wanted,
    ]  # fmt: skip
    with TemporaryDirectory(prefix="downloads-", dir=environment, ignore_cleanup_errors=True) as downloads:
        code = run(pip, lambda: how_far(environment, Path(downloads)), TMPDIR=downloads)
    if code:
        print(advice(os.environ), file=sys.stderr)
    return code


def advice(variables: Iterable[str]) -> str:
    """What to do when pip failed, by the variables that are set; their values may hold a password."""
    again = "pip failed, and says above why; once that is mended, run make again: what is installed stays"
    proxies = sorted(name for name in variables if name.lower() in PROXIES)
    return f"{again}. pip asks through a proxy, by {', '.join(proxies)}: does it answer?" if proxies else again


def how_far(environment: Path, downloads: Path) -> str:
    sizes = [size_of(path) for path in below(downloads) if path.match("pip-unpack-*/*.whl")]
    installed = sum(1 for _ in environment.glob("lib/python*/site-packages/*.dist-info"))
    return f"{len(sizes)} packages downloaded ({sum(sizes) / 1e6:.0f} MB), {installed} installed"


def below(folder: Path) -> Iterator[Path]:
    """Files; pip removes folders while they are looked through, which ends `Path.glob`."""
    for inside, _, names in os.walk(folder):
        yield from (Path(inside, name) for name in names)


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
