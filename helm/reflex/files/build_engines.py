"""Build the TensorRT engines of a model repository, once for everybody who shares the storage.

    <storage>/<key>/<fingerprint>/     the repository with its engines: complete, or not there
    <storage>/<key>/current            which fingerprint new pods serve
    <storage>/<key>/.lock              held while building; the kernel releases it however we end
    <storage>/home/                    the cache of `reflex engines build`, which is its user's home

The fingerprint covers the source's files, TensorRT and the GPU, so a second run with the same of all is a look at one
folder. What runs already is never changed: another source, or another GPU, gets another folder. Nothing is removed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

Engine = Literal["tensorrt", "tensorrt-rtx"]
CURRENT: Final = "current"
LOCK: Final = ".lock"
LOCK_POLL_S: Final = 0.2
FINGERPRINT_DIGITS: Final = 24

log = logging.getLogger("build-engines")


class BuildError(Exception):
    """What was wrong, and what to do; it ends the Job."""


@dataclass(frozen=True)
class Order:
    """What is to be built from what, and where it goes."""

    source: Path
    storage: Path
    key: str
    engine: Engine
    policy: str | None
    lock_timeout_s: float

    @property
    def shelf(self) -> Path:
        return self.storage / self.key


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, or find what was built, and make it current; the exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        built = build(_order(arguments))
    except BuildError as exc:
        log.error("engines: %s", exc)
        return 1
    log.info("engines: %s is current", built)
    return 0


def build(order: Order) -> Path:
    """The folder with the engines, now current; `BuildError` says why there is none."""
    started = time.monotonic()
    if not order.source.is_dir() or next(files_of(order.source), None) is None:
        raise BuildError(f"{order.source} is not there, or empty; check modelRepository")
    order.shelf.mkdir(parents=True, exist_ok=True)
    with _locked(order):
        place = order.shelf / fingerprint(order.source, target(order.engine))
        if place.is_dir():
            log.info("engines: found, nothing to build (%.1f s)", time.monotonic() - started)
        else:
            _build_into(place, order)
            log.info("engines: built in %.1f s", time.monotonic() - started)
        _make_current(order.shelf, place.name)
    return place


def target(engine: Engine) -> str:
    """What an engine is tied to besides its graph: TensorRT and the GPU."""
    from reflex.errors import SetupError  # here, since the help needs none of it
    from reflex_export.engines import load_toolkit
    from reflex_export.engines.device import first_gpu

    try:
        version = load_toolkit(engine).version
    except SetupError as exc:
        raise BuildError(str(exc)) from exc
    gpu = first_gpu()
    return f"{engine} {version} {gpu.target if gpu else 'no GPU'}"


def fingerprint(source: Path, built_for: str) -> str:
    """Changes with any file of the repository, and with `built_for`."""
    digest = hashlib.sha256(built_for.encode())
    for path in files_of(source):
        name = path.relative_to(source).as_posix()
        digest.update(f"\n{name} {path.stat().st_size}\n".encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def files_of(folder: Path) -> Iterator[Path]:
    """Its files in a fixed order; not hidden ones, nor what a file system keeps for itself."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "lost+found":
            continue
        if path.is_dir():
            yield from files_of(path)
        else:
            yield path


def _order(arguments: Sequence[str] | None) -> Order:
    parser = argparse.ArgumentParser(prog="build_engines.py", description="Build a model repository's engines, once.")
    parser.add_argument("--source", type=Path, required=True, help="the repository, which is only read")
    parser.add_argument("--storage", type=Path, required=True, help="where engines and their cache are kept")
    parser.add_argument("--key", required=True, help="folder of the storage: GPU type and what the engines are for")
    parser.add_argument("--engine", default="tensorrt", choices=get_args(Engine))
    parser.add_argument("--policy", default=None, help="only this policy; default: all")
    parser.add_argument("--lock-timeout", type=float, default=3600.0, metavar="SECONDS")
    given = parser.parse_args(arguments)
    return Order(given.source, given.storage, given.key, given.engine, given.policy or None, given.lock_timeout)


@contextmanager
def _locked(order: Order) -> Iterator[None]:
    """Of two builds at once the second waits, then finds what the first has built."""
    path = order.shelf / LOCK
    deadline = time.monotonic() + order.lock_timeout_s
    with path.open("ab") as lock:
        while not _is_taken(lock.fileno()):
            if time.monotonic() > deadline:
                raise BuildError(
                    f"another build has held {path} for {order.lock_timeout_s:.0f} s; end it and try again"
                )
            time.sleep(LOCK_POLL_S)
        yield


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build_into(place: Path, order: Order) -> None:
    """Copy, build, and only then give the folder its name."""
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed build left; the lock says that nobody is at it
    _copy(order.source, partial)
    home = order.storage / "home"
    home.mkdir(exist_ok=True)
    only = ["--policy", order.policy] if order.policy else []
    command = [sys.executable, "-m", "reflex.cli", "engines", "build", str(partial), "--engine", order.engine, *only]
    log.info("engines: building for %s", target(order.engine))
    place_of_cache = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    done = subprocess.run(command, env={**os.environ, **place_of_cache}, check=False)  # noqa: S603
    if done.returncode != 0:
        raise BuildError(f"`reflex engines build` ended with {done.returncode}; its own message stands above")
    os.sync()  # else a power cut can leave the name with half the content
    partial.rename(place)


def _copy(source: Path, destination: Path) -> None:
    """Contents only: a read-only volume's modes would forbid to put engines beside the graphs."""
    for path in files_of(source):
        copy = destination / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for folder in source.rglob("*/1"):
        (destination / folder.relative_to(source)).mkdir(parents=True, exist_ok=True)  # an ensemble's is empty


def _make_current(shelf: Path, name: str) -> None:
    partial = shelf / f".{CURRENT}.partial"
    partial.write_text(name + "\n", encoding="utf-8")
    partial.rename(shelf / CURRENT)


if __name__ == "__main__":
    sys.exit(main())
