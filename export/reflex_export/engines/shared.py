"""Engines built once for every machine that shares a folder; `reflex.shared_engines` draws the folder.

The name of a place in it covers the repository's files, TensorRT and the GPU: a second run with the same of all is a
look at one folder, and another policy, TensorRT or GPU gets a place of its own. The repository may be a volume that is
only read, where nobody can take its lock: a copy that is not what its place is named after is made again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.durable_files import partial_of, take_name
from reflex.errors import RepositoryError, SetupError
from reflex.file_lock import file_lock
from reflex.shared_engines import LOCK, make_current
from reflex_export.engines.build import ProgressReport, target_of
from reflex_export.engines.record import RECIPE, BuildOptions
from reflex_export.engines.repository import Measure, PolicyEngines, build_repository
from reflex_export.engines.toolkit import load_toolkit

__all__ = ["SharedBuild", "SharedEngines", "build_shared"]

FINGERPRINT_DIGITS: Final = 24
LOST_AND_FOUND: Final = "lost+found"
"""What ext4 keeps at the root of every volume, for root alone."""

COPIES: Final = 3
"""Of a repository that changes meanwhile: an export publishes in less than a second."""

Note = Callable[[str], object]


@dataclass(frozen=True)
class SharedBuild:
    """What is to be built from what, and where it goes."""

    repository: Path
    """Only read."""
    folder: Path
    options: BuildOptions
    policy: str | None
    """None: all of the repository."""
    cache: Path | None
    """None: that of the user."""
    lock_timeout_s: float
    measure: Measure | None = None


@dataclass(frozen=True)
class SharedEngines:
    """The repository that is current now."""

    place: Path
    built: tuple[PolicyEngines, ...]
    """Empty when they were there already."""


def build_shared(order: SharedBuild, note: Note, progress: ProgressReport | None = None) -> SharedEngines:
    """Build, or find what was built, and make it current. `SetupError` says why there is nothing new to serve.

    Of two at once the second waits, then finds what the first has built. One that is killed leaves no name behind.
    `note` is told when minutes may pass, and why.
    """
    if next(_files_of(order.repository), None) is None:
        raise RepositoryError(f"{order.repository} is empty; is it the right folder, or the right volume?")
    version, gpu = load_toolkit(order.options.engine).version, target_of(order.options)
    built_for = f"{order.options} {version} {gpu} {RECIPE} {order.policy}"
    with (
        _writable(order.folder),
        file_lock(
            order.folder / LOCK,
            "another build",
            timeout_s=order.lock_timeout_s,
            on_wait=lambda _holder: note("waiting for another build"),
        ),
        ExitStack() as afterwards,
    ):
        what = f"building with {order.options.engine} {version} for {gpu}"
        place = _found_or_copied(order, built_for, lambda: note(what), note, afterwards)
        built = () if place.is_dir() else _build_into(place, order, progress)
        make_current(place)
    return SharedEngines(place, built)


def fingerprint(repository: Path, built_for: str) -> str:
    """Another one after a change of any file of the repository, or of `built_for`."""
    digest = hashlib.sha256(built_for.encode())
    for path in _files_of(repository):
        name = path.relative_to(repository).as_posix()
        digest.update(f"\n{name} {path.stat().st_size}\n".encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Make the folder; a volume that is full, or another user's, is a sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        raise SetupError(
            f"engines cannot be shared in {folder} ({exc.strerror}: {exc.filename}); it must be writable and have room"
        ) from exc


def _found_or_copied(
    order: SharedBuild, built_for: str, on_copy: Callable[[], object], note: Note, afterwards: ExitStack
) -> Path:
    """The place, or its name while its content lies in `partial_of` it, without engines; `afterwards` removes that."""
    missing: list[str] = []
    for _ in range(COPIES):
        with _noted_if_missing(missing):
            place = order.folder / fingerprint(order.repository, built_for)
            if place.is_dir():
                return place
            on_copy()
            copy = partial_of(place)
            afterwards.callback(shutil.rmtree, copy, ignore_errors=True)
            shutil.rmtree(copy, ignore_errors=True)  # what a killed build left; the lock says that nobody is at it
            _copy(order.repository, copy)
            if fingerprint(copy, built_for) == place.name:
                return place
            shutil.rmtree(copy)
        note(f"{order.repository} changed while it was copied; copying it again")
    if len(missing) == COPIES and len(set(missing)) == 1:
        raise RepositoryError(f"{missing[0]} cannot be copied: nothing is there; is it a link that leads nowhere?")
    raise RepositoryError(
        f"{order.repository} changes whenever it is copied; wait until nobody writes into it, then build again"
    )


@contextmanager
def _noted_if_missing(missing: list[str]) -> Iterator[None]:
    """An export may just have put something else there."""
    try:
        yield
    except FileNotFoundError as exc:
        missing.append(str(exc.filename))


def _build_into(place: Path, order: SharedBuild, progress: ProgressReport | None) -> tuple[PolicyEngines, ...]:
    """Build in the copy, and only then give the folder its name."""
    options, copy = order.options, partial_of(place)
    built = build_repository(
        copy,
        order.policy,
        options.engine,
        options=options,
        cache=order.cache,
        progress=progress,
        measure=order.measure,
    )
    take_name(copy, place)
    return tuple(policy.moved_to(place) for policy in built)


def _copy(folder: Path, copy: Path) -> None:
    """Contents only: a read-only volume's modes would forbid to put engines beside the graphs."""
    copy.mkdir()
    for path in _visible(folder):
        if path.is_dir():
            _copy(path, copy / path.name)
        else:
            shutil.copyfile(path, copy / path.name)


def _files_of(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            yield from _files_of(path)
        else:
            yield path


def _visible(folder: Path) -> list[Path]:
    """In a fixed order, without what is hidden or the file system's own."""
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name != LOST_AND_FOUND)
