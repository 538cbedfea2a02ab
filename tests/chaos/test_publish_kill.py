"""kill -9 of an export at random instants: the repository is always the old one or the new one, never a mixture.

REFLEX_CHAOS_PUBLISH_KILLS sets how often (20); a tenth of as many for a whole policy.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from reflex.model_repository import model_file
from reflex.policy_config import read_policy_config
from reflex_bench.nonce_policy import Fault, write_nonce_policy
from reflex_export.publishing.staged import staging
from reflex_export.publishing.transaction import recover
from support.waiting import HANGS_S, let_pass

pytestmark = [pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"), pytest.mark.slow]

KILLS = int(os.environ.get("REFLEX_CHAOS_PUBLISH_KILLS", "20"))
NAMES = [f"{part}{steps}" for part in ("preprocess", "encoder", "denoise", "arm") for steps in range(5)]
"""Many: the renames are what a kill must hit, and one takes microseconds."""
RENAMES_S = 0.0005
MOST_KILLS = 10 * KILLS
"""Until one came between two renames; on a busy machine most come late."""
VERSION = "config.pbtxt"


def killed_after(wait: Callable[[], None], export: Callable[[], None]) -> None:
    """A child that exports over and over gets kill -9 when `wait` returns."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                export()
        finally:
            os._exit(1)
    wait()
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the export failed by itself"


def wait_for_renames(repository: Path, then_s: float) -> None:
    """Until a publication has begun, and `then_s` more."""
    deadline = time.monotonic() + HANGS_S
    while not half_done(repository):  # without a pause: the renames are over in a moment
        assert time.monotonic() < deadline, "no publication began"
    let_pass(then_s)


def half_done(repository: Path) -> bool:
    return any(repository.glob(".reflex-export-*/journal.json"))


def duration_s(export: Callable[[], None]) -> float:
    started = time.monotonic()
    export()
    return time.monotonic() - started


def publish_version(repository: Path, version: int) -> None:
    with staging(repository) as staged:
        for name in NAMES:
            (staged.folder / name / "1").mkdir(parents=True)
            model_file(staged.folder, name).write_text(str(version))
            (staged.folder / name / VERSION).write_text(str(version))
            staged.names.append(name)
        staged.publish()


def publish_next(repository: Path, numbers: Iterator[int]) -> None:
    publish_version(repository, next(numbers))


def write_next(repository: Path, faults: Iterator[Fault]) -> None:
    write_nonce_policy(repository, fault=next(faults))


def is_mixed(repository: Path) -> bool:
    found = [path.read_text() if path.exists() else None for path in (repository / name / VERSION for name in NAMES)]
    return len(set(found)) > 1


def versions(repository: Path) -> set[str]:
    """Of all files; every directory must be whole."""
    files = [path for path in repository.rglob("*") if path.is_file()]
    assert len(files) == 2 * len(NAMES), sorted(map(str, files))
    return {path.read_text() for path in files}


@pytest.mark.timeout(300 + KILLS)
def test_kill_9_at_random_instants_leaves_every_directory_of_one_version(tmp_path: Path) -> None:
    once_s = duration_s(partial(publish_version, tmp_path, 0))
    chance = random.Random(0)
    mixed, last = 0, 0
    for kill in range(MOST_KILLS):
        if kill >= KILLS and mixed:
            break
        at_any_time = partial(let_pass, chance.uniform(0, 3 * once_s))
        among_the_renames = partial(wait_for_renames, tmp_path, chance.uniform(0, RENAMES_S))
        killed_after(
            among_the_renames if kill % 2 else at_any_time, partial(publish_next, tmp_path, itertools.count(last + 1))
        )
        mixed += is_mixed(tmp_path)
        recover(tmp_path)
        (found,) = versions(tmp_path)
        assert int(found) >= last, "a version that was there before is lost"
        last = int(found)
        assert not list(tmp_path.glob(".*"))
    assert mixed, "no kill came between two renames"
    assert last, "no export came to its end"


@pytest.mark.timeout(300 + KILLS)
def test_kill_9_of_an_export_leaves_a_whole_policy(tmp_path: Path) -> None:
    faults: list[Fault] = [None, "nan"]
    expected = []
    for fault in faults:
        once_s = duration_s(partial(write_nonce_policy, tmp_path, fault=fault))
        expected.append(contents(tmp_path))
    chance = random.Random(1)
    for _ in range(max(1, KILLS // 10)):
        delay = partial(let_pass, chance.uniform(0, 3 * once_s))
        killed_after(delay, partial(write_next, tmp_path, itertools.cycle(faults)))
        recover(tmp_path)
        assert contents(tmp_path) in expected
        assert read_policy_config(tmp_path / "nonce").family == "nonce"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
