"""Several directories become one change: whatever happens in between, the repository is the old one or the new one."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reflex.errors import RepositoryError
from reflex.model_repository import model_file
from reflex_export.publishing.staged import staging
from reflex_export.publishing.transaction import publish, recover, scratch_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

NAMES = ["arm_preprocess", "arm_encoder", "arm_denoise", "arm", "arm-4steps"]
SOLE = "arm-4steps"
"""The old repository does not have this one."""
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fcntl.flock"}


def write(folder: Path, names: list[str], version: str) -> None:
    for name in names:
        (folder / name / "1").mkdir(parents=True)
        model_file(folder, name).write_text(f"{name} {version}")
        (folder / name / "config.pbtxt").write_text(version)


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def export(repository: Path, version: str = "new") -> None:
    with staging(repository) as staged:
        write(staged.folder, NAMES, version)
        staged.names.extend(NAMES)
        staged.publish()


def old_repository(folder: Path) -> Path:
    root = folder / "models"
    write(root, [*(name for name in NAMES if name != SOLE), "other_policy"], "old")
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return old_repository(tmp_path)


@pytest.fixture
def old(repository: Path) -> dict[str, str]:
    return contents(repository)


@pytest.fixture
def new(tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "expected"
    write(root, ["other_policy"], "old")
    write(root, NAMES, "new")
    return contents(root)


def dies_at_step(step: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child that gets kill -9 as its file operation number `step` begins; False: it needed fewer."""
    child = os.fork()
    if child == 0:
        try:
            gc.disable()  # or it looks through all that the parent has, and copies it by that
            _kill_self_at(step)
            action()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return os.WIFSIGNALED(status)


def _kill_self_at(step: int) -> None:
    left = step

    def count(event: str, _arguments: object) -> None:
        nonlocal left
        left -= event in STEPS
        if left == 0 and event in STEPS:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def steps_until_done(action: Callable[[], object]) -> Iterator[int]:
    """Yields after each death."""
    step = 1
    while dies_at_step(step, action):
        yield step
        step += 1


@pytest.mark.slow
def test_export_killed_at_any_step_leaves_the_old_or_the_new_repository(
    repository: Path, old: dict[str, str], new: dict[str, str], tmp_path: Path
) -> None:
    outcomes = []
    for step in steps_until_done(lambda: export(repository)):
        recover(repository)
        found = contents(repository)
        assert found in (old, new), f"killed at step {step}"
        outcomes.append(found == new)
        if found == new:
            restore(repository)

    assert outcomes == sorted(outcomes), "one step is the commit: old before it, new after"
    assert set(outcomes) == {False, True}
    assert contents(repository) == new


def restore(repository: Path) -> None:
    """The old version again, through the code under test and then without the added directory."""
    export(repository, "old")
    for path in sorted((repository / SOLE).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (repository / SOLE).rmdir()


@pytest.fixture(scope="module")
def last_rename(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The step of an export at which a kill leaves most to do; to find it takes a fork for each step."""
    repository = old_repository(tmp_path_factory.mktemp("half_done"))
    return max(half_done_steps(repository, contents(repository)))


@pytest.mark.slow
def test_recovery_killed_at_any_step_is_completed_by_the_next(
    repository: Path, old: dict[str, str], last_rename: int
) -> None:
    assert dies_at_step(last_rename, lambda: export(repository))

    deaths = sum(1 for _ in steps_until_done(lambda: recover(repository)))

    assert deaths > len(NAMES)
    assert contents(repository) == old
    for step in range(1, deaths + 1):
        assert dies_at_step(last_rename, lambda: export(repository))
        assert dies_at_step(step, lambda: recover(repository))
        recover(repository)
        assert contents(repository) == old


def half_done_steps(repository: Path, old: dict[str, str]) -> Iterator[int]:
    """The steps at which a kill leaves a repository that needs its journal."""
    for step in range(1, 1_000):
        assert dies_at_step(step, lambda: export(repository))
        half_done = any(repository.glob(".reflex-export-*/journal.json"))
        recover(repository)
        if half_done:
            yield step
        elif contents(repository) != old:
            restore(repository)
            return


@pytest.mark.slow
def test_next_export_completes_after_a_killed_one(
    repository: Path, new: dict[str, str], old: dict[str, str], last_rename: int
) -> None:
    assert dies_at_step(last_rename, lambda: export(repository, "killed"))
    assert contents(repository) not in (old, new)

    export(repository)

    assert contents(repository) == new


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_rename", range(1, 10))
def test_interrupted_export_leaves_the_repository_as_it_was(
    repository: Path, old: dict[str, str], monkeypatch: pytest.MonkeyPatch, interrupted_rename: int
) -> None:
    rename, calls = Path.rename, 0

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        moved = rename(self, target)
        if calls == interrupted_rename:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(repository)

    assert contents(repository) == old


def test_second_export_at_the_same_time_is_refused_and_harms_neither(repository: Path, new: dict[str, str]) -> None:
    with staging(repository) as staged:
        write(staged.folder, NAMES, "new")
        staged.names.extend(NAMES)
        with pytest.raises(RepositoryError, match=r"another export \(process \d+\) is writing into .*models; wait"):
            export(repository, "second")
        with pytest.raises(RepositoryError, match="another export"):
            recover(repository)
        staged.publish()

    assert contents(repository) == new


def test_old_directories_are_kept_while_they_cannot_be_put_back(
    repository: Path, old: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        rename, calls = Path.rename, 0

        def fails_from_the_third_on(self: Path, target: Path) -> Path:
            nonlocal calls
            calls += 1
            if calls >= 3:
                raise OSError(5, "Input/output error")
            return rename(self, target)

        patch.setattr(Path, "rename", fails_from_the_third_on)
        with pytest.raises(RepositoryError, match=r"cannot be undone.*Input/output error.*move the old directories"):
            export(repository)

    recover(repository)
    assert contents(repository) == old


def test_rubbish_without_a_journal_is_removed(repository: Path, old: dict[str, str]) -> None:
    write(repository / ".reflex-export-dead" / "staged", ["arm"], "dead")
    (repository / ".reflex-export.lock").touch()

    recover(repository)

    assert contents(repository) == old
    assert not list(repository.glob(".*"))


def test_recovering_a_tidy_repository_touches_nothing(repository: Path, old: dict[str, str]) -> None:
    repository.chmod(0o555)
    before = repository.stat()

    recover(repository)

    assert repository.stat().st_mtime_ns == before.st_mtime_ns
    repository.chmod(0o755)


@pytest.mark.parametrize(
    "journal", ["", "[]", '{"names": []}', json.dumps({"names": ["../secrets"], "added": ["../secrets"]})]
)
def test_damaged_or_hostile_journal_moves_nothing(repository: Path, journal: str) -> None:
    write(repository.parent, ["secrets"], "mine")
    scratch = repository / ".reflex-export-dead"
    write(scratch / "retired", ["arm"], "old")
    (scratch / "journal.json").write_text(journal)
    before = contents(repository.parent)

    with pytest.raises(RepositoryError, match=r"journal.json is damaged .*move the old directories back"):
        recover(repository)

    assert contents(repository.parent) == before


def test_directory_that_was_never_staged_is_an_error_and_changes_nothing(repository: Path, old: dict[str, str]) -> None:
    with scratch_folder(repository) as scratch:
        write(scratch / "staged", NAMES[:2], "new")
        with pytest.raises(FileNotFoundError):
            publish(NAMES, scratch / "staged", repository)

    assert contents(repository) == old
