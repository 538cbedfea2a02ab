"""Publishing into a model repository: several directories change as one, also when the exporter is killed.

<repository>/.reflex-export.lock        held by the one export or engine build at work, and says who; gone after it
<repository>/.reflex-export-<random>/   what an export has on its way
    staged/<name>                       the new directories
    retired/<name>                      those that they replace
    journal.json                        there from before the first rename until after the last

Renames are atomic one by one, not together, so the journal says how to take them back. While it exists the old
repository is the true one, and whoever comes next (`scratch_folder`, `recover`) restores it; its removal is the one
instant at which the new repository becomes the true one. A folder without a journal is rubbish.

Who reads without `recover` may see, between the two: a directory missing, or new directories beside old ones. The
ensemble's directory, with reflex_config.json, is renamed after its components. Each config.pbtxt and
reflex_config.json carries the id of its export, and the server refuses a policy whose ids differ: it starts again
once the export is over, or the next export or `recover` has tidied up after a killed one. Exports whose ids agree
are told apart by nothing but the canary.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.durable_files import replace_file, sync, sync_tree
from reflex.errors import RepositoryError, SetupError
from reflex.interruption import undisturbed
from reflex_export.publishing.repository_lock import LOCK_FILE, lock_repository

__all__ = ["STAGED", "publish", "recover", "scratch_folder"]

SCRATCH_PREFIX: Final = ".reflex-export-"
JOURNAL_FILE: Final = "journal.json"
RETIRED: Final = "retired"
STAGED: Final = "staged"


@contextmanager
def scratch_folder(
    repository: Path, name: str = "another export", on_wait: Callable[[str], object] | None = None
) -> Iterator[Path]:
    """A folder on the repository's file system for one writer; afterwards it is gone, whatever happens.

    First it undoes what a killed one left. Raises `RepositoryError` while someone else is at work here, or waits:
    `name` and `on_wait` are those of `lock_repository`.
    """
    with _made(repository), _sole_writer(repository, name, on_wait), ExitStack() as afterwards:
        with undisturbed():
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=repository))
            afterwards.callback(_discard, scratch, repository)
        yield scratch


def recover(repository: Path) -> None:
    """Undo what a killed export left half done, and remove its rubbish; nothing is touched when there is none.

    Raises `RepositoryError` while an export is at work, and when the file system refuses: then nothing is lost, and
    the message says where the directories lie.
    """
    if any(repository.glob(f"{SCRATCH_PREFIX}*")) or (repository / LOCK_FILE).exists():
        with _sole_writer(repository, "another export", None):
            pass


def publish(names: Iterable[str], staged: Path, repository: Path) -> None:
    """Rename `staged/<name>` into the repository, all or none; `staged` is that of a `scratch_folder` of it.

    When one rename fails, or the process is interrupted, all that was there before is back and the error goes on.
    """
    scratch, names = staged.parent, list(names)
    (scratch / RETIRED).mkdir()
    # Before the journal goes, all that it protects must be on disk: a power cut is as sudden as a kill.
    sync_tree(staged)
    with ExitStack() as otherwise:
        otherwise.callback(_undo, scratch, repository)
        _write_journal(names, scratch, repository)
        for name in names:
            if os.path.lexists(repository / name):
                (repository / name).rename(scratch / RETIRED / name)
            (staged / name).rename(repository / name)
        _close_journal(scratch, repository)


@contextmanager
def _made(repository: Path) -> Iterator[None]:
    """A repository that was made for nothing goes again."""
    is_new = not repository.exists()
    try:
        repository.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SetupError(
            f"--repository {repository} cannot be made ({exc.strerror}); name a folder that can be written"
        ) from exc
    try:
        yield
    finally:
        if is_new:
            with suppress(OSError):  # it is not empty: something was published
                repository.rmdir()


@contextmanager
def _sole_writer(repository: Path, name: str, on_wait: Callable[[str], object] | None) -> Iterator[None]:
    """What a killed writer left half done has been undone then."""
    with ExitStack() as afterwards:
        lock_repository(repository, name, afterwards, on_wait)
        _tidy_up(repository)
        yield


@dataclass(frozen=True)
class _Journal:
    """The directories that change, and which of them the old repository does not have."""

    names: tuple[str, ...]
    added: frozenset[str]


def _write_journal(names: Sequence[str], scratch: Path, repository: Path) -> None:
    added = [name for name in names if not os.path.lexists(repository / name)]
    replace_file(scratch / JOURNAL_FILE, json.dumps({"names": names, "added": added}).encode())
    sync(repository)


def _read_journal(scratch: Path) -> _Journal | None:
    try:
        written = json.loads((scratch / JOURNAL_FILE).read_text(encoding="utf-8"))
        journal = _Journal(tuple(written["names"]), frozenset(written["added"]))
        # A repository may come from elsewhere: its journal moves nothing outside it.
        if not all(name == Path(name).name and name not in ("", "..") for name in journal.names):
            raise ValueError("it names a path outside the repository")
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as exc:
        raise RepositoryError(f"{scratch / JOURNAL_FILE} is damaged ({exc}); {_by_hand(scratch)}") from exc
    return journal


def _close_journal(scratch: Path, repository: Path) -> None:
    """What lies in the repository now is the true one: all of it is on disk before the journal goes."""
    for folder in (repository, scratch / STAGED, scratch / RETIRED):
        sync(folder)
    (scratch / JOURNAL_FILE).unlink()
    sync(scratch)


def _undo(scratch: Path, repository: Path) -> None:
    """Put back what the journal names; without a journal there is nothing to undo."""
    journal = _read_journal(scratch)
    if journal is None:
        return
    for name in reversed(journal.names):
        _put_back(name, scratch, repository, is_added=name in journal.added)
    _close_journal(scratch, repository)


def _put_back(name: str, scratch: Path, repository: Path, *, is_added: bool) -> None:
    target, retired = repository / name, scratch / RETIRED / name
    is_retired = os.path.lexists(retired)
    # Only then is it the new one; an undo that was killed itself has left the old one here already.
    if (is_added or is_retired) and os.path.lexists(target):
        target.rename(scratch / STAGED / name)
    if is_retired:
        retired.rename(target)


def _tidy_up(repository: Path) -> None:
    for scratch in sorted(repository.glob(f"{SCRATCH_PREFIX}*")):
        if scratch.is_dir() and not scratch.is_symlink():
            _discard(scratch, repository)


def _discard(scratch: Path, repository: Path) -> None:
    """Undo, then remove; while the journal is there the folder stays, since it may hold the only old directories."""
    with undisturbed():
        try:
            _undo(scratch, repository)
        except OSError as exc:
            raise RepositoryError(f"an unfinished export cannot be undone ({exc}); {_by_hand(scratch)}") from exc
        shutil.rmtree(scratch, ignore_errors=True)


def _by_hand(scratch: Path) -> str:
    return (
        f"export again once that is put right, or move the old directories back from {scratch / RETIRED} yourself "
        f"and remove {scratch}"
    )
