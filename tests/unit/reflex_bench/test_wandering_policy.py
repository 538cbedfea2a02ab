"""The policy for trials of motion: what its chunks are like, and that real-time chunking works on it as on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from reflex.embodiments import load_embodiment
from reflex.guard import ActionGuard
from reflex.policy_config import read_policy_config
from reflex_bench.wandering_policy import WAY, write_wandering_policy
from reflex_export.checking.parity import PolicyRunner

Chunk = npt.NDArray[np.float32]
SEEDS = 24
ROBOT = load_embodiment("so101")
MIDDLE = (np.array(ROBOT.action_low) + np.array(ROBOT.action_high)) / 2
HALF = (np.array(ROBOT.action_high) - np.array(ROBOT.action_low)) / 2


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> PolicyRunner:
    repository = tmp_path_factory.mktemp("wandering")
    write_wandering_policy(repository)
    return PolicyRunner.of(repository, read_policy_config(repository / "wandering"))


def chunks(runner: PolicyRunner, pose: float = 0.0, previous: Chunk | None = None, held: int = 0) -> Chunk:
    """Normalised, one for each seed, [seeds, 50, 6]."""
    weights = np.zeros((SEEDS, 50), np.float32)
    weights[:, :held] = 1.0
    left = np.zeros((50, 6), np.float32) if previous is None else previous
    found: Chunk = runner.run(
        {
            "image.image": np.zeros((SEEDS, 4, 4, 3), np.uint8),
            "camera_mask": np.ones((SEEDS, 1), np.bool_),
            "state": np.tile(MIDDLE + pose * HALF, (SEEDS, 1)).astype(np.float32),
            "tokens": np.zeros((SEEDS, 48), np.int64),
            "token_mask": np.zeros((SEEDS, 48), np.bool_),
            "noise": np.random.default_rng(1).standard_normal((SEEDS, 50, 6)).astype(np.float32),
            "prev_chunk": np.tile(left, (SEEDS, 1, 1)),
            "rtc_weights": weights,
            "rtc_max_guidance": np.full((SEEDS, 1), 10.0, np.float32),
        }
    )["actions_normalized"]
    return found


def test_a_chunk_begins_where_the_arm_is_and_is_smooth(runner: PolicyRunner) -> None:
    found = chunks(runner, pose=0.3)

    assert np.abs(found[:, 0] - 0.3).max() < 0.02
    assert np.abs(np.diff(found, axis=1)).max() < 0.06
    assert np.abs(np.diff(found, n=2, axis=1)).max() < 0.02


def test_it_goes_one_of_two_ways_and_which_is_chance(runner: PolicyRunner) -> None:
    ends = chunks(runner)[:, -1] * (-1.0) ** np.arange(6)
    ways = np.sign(ends.mean(axis=1))

    assert set(ways) == {-1.0, 1.0}
    assert np.abs(ends.mean(axis=1)) == pytest.approx(WAY, abs=0.12)


def test_a_chunk_that_continues_another_keeps_its_actions_and_its_way(runner: PolicyRunner) -> None:
    previous = chunks(runner)[0]
    found = chunks(runner, previous=previous, held=30)
    way = np.sign((previous[-1] * (-1.0) ** np.arange(6)).mean())

    assert np.abs(found[:, :30] - previous[:30]).max() < 0.02
    assert np.mean(np.sign((found[:, -1] * (-1.0) ** np.arange(6)).mean(axis=1)) == way) > 0.9


def test_the_guard_has_nothing_to_change(runner: PolicyRunner) -> None:
    guard = ActionGuard(ROBOT)

    assert not any(guard.check(MIDDLE + chunk * HALF).clamped for chunk in chunks(runner, pose=0.5))


def test_two_repositories_are_the_same_to_the_byte(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        write_wandering_policy(tmp_path / folder)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]

    assert files
    assert [
        file for file in files if (tmp_path / "one" / file).read_bytes() != (tmp_path / "other" / file).read_bytes()
    ] == []
