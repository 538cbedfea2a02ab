from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reflex.errors import SetupError
from reflex.traces.schema import RtcRecord
from reflex_analysis.correction.recorded import read_recording
from reflex_analysis.correction.samples import samples_of
from reflex_analysis.correction.training import Training, train_head
from support.motion.drifting import HORIZON, following, recorded_drift, seen, where
from support.traces import header, policy, request, write_trace

QUICK = Training(reach_ms=400.0, epochs=30, hidden=(32, 32))


@pytest.mark.slow
def test_a_head_learns_how_the_world_moves_and_says_how_well(tmp_path: Path) -> None:
    told: list[float] = []
    recorded = read_recording(recorded_drift(tmp_path / "a_0.jsonl.gz"))

    head = train_head(recorded, QUICK, lambda _epoch, error: told.append(error))

    training = head.description.training
    assert training is not None
    assert head.is_trained
    assert training.error_removed > 0.7
    assert max(training.error_after[:2]) < 0.5 * min(training.error_before[:2])
    assert len(told) == QUICK.epochs
    assert told[-1] < told[0]
    newest = seen(where(0.7, 0.8, 0.1))
    stale = following(seen(where(0.7, 0.8, 0.0)))[2:8]
    corrected = stale + head.residuals(newest, stale, 2)
    right = np.array([where(0.7, 0.8, 0.1 + step / 20) for step in range(6)])
    before, after = (float(np.abs(actions[:, :2] - right).max()) for actions in (stale, corrected))
    assert after < 0.5 * before


def test_the_same_seed_gives_the_same_head_and_another_one_does_not(tmp_path: Path) -> None:
    recorded = read_recording(recorded_drift(tmp_path / "a_0.jsonl.gz", episodes=6))
    how = Training(reach_ms=200.0, epochs=3, hidden=(8,))
    one, again, other = (train_head(recorded, Training(200.0, 3, (8,), seed)) for seed in (0, 0, 1))

    assert one.description == again.description
    assert one.description.hidden == how.hidden
    assert one.description.weights_hash != other.description.weights_hash


def test_a_sample_says_what_the_policy_said_of_that_moment_later(tmp_path: Path) -> None:
    recorded = read_recording(recorded_drift(tmp_path / "a_0.jsonl.gz", episodes=5, each=12, every_steps=3))

    samples = samples_of(recorded, 6, seed=0)

    assert set(samples.leads[:, 0].tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    assert set(samples.ages[:, 0].tolist()) == {0.0, 3.0, 6.0}
    fresh = (samples.ages[:, 0] == 0) & (samples.leads[:, 0] < 3)
    assert not samples.targets[fresh].any(), "its own chunk is the last word until the next request"
    newest = (samples.ages[:, 0] == 3) & (samples.leads[:, 0] < 3)
    np.testing.assert_allclose(
        samples.actions[newest][:, :2] + samples.targets[newest][:, :2], samples.states[newest][:, :2], atol=1e-6
    )


def test_a_chunk_that_was_held_to_the_one_before_teaches_nothing(tmp_path: Path) -> None:
    held = RtcRecord(np.zeros((1, 7), np.float32), (1.0,), 10.0)
    told = {"a": policy()}
    records = [request(n, at=1_795_000_000.0 + n / 10, rtc=held, state=(n / 10,) * 6) for n in range(1, 40)]
    path = write_trace(tmp_path / "a_0.jsonl.gz", [header(told), *records])

    with pytest.raises(SetupError, match="without --rtc"):
        samples_of(read_recording(path), 10, seed=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"episode_id": None}, "without an episode_id"),
        ({"state": ()}, "trained from states"),
        ({"state": (0.0,) * 5}, "trained from states"),
        ({"status": 504, "error": "deadline_exceeded", "actions_raw": None}, "no answer"),
        ({"policy": "demo@fewersteps"}, "no request that a policy answered"),
    ],
)
def test_a_recording_that_says_nothing_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = write_trace(tmp_path / "a_0.jsonl.gz", [header(), *(request(n, **changes) for n in range(1, 30))])

    with pytest.raises(SetupError, match=said):
        read_recording(path)


def test_several_policies_are_told_apart_by_name(tmp_path: Path) -> None:
    told = {"a": policy(), "b": policy("other")}
    both = [request(1), request(2, slot="b", policy="other@other000")]
    path = write_trace(tmp_path / "a_0.jsonl.gz", [header(told), *both])

    with pytest.raises(SetupError, match="--policy"):
        read_recording(path)
    with pytest.raises(SetupError, match="no requests of third"):
        read_recording(path, "third")
    assert read_recording(path, "other").policy.policy_id == "other"
    assert read_recording(path, "demo@demo0000").policy.policy_id == "demo"


def test_too_few_or_too_far_apart_or_unlearnable_is_refused(tmp_path: Path) -> None:
    few = recorded_drift(tmp_path / "few_0.jsonl.gz", episodes=2, each=4)
    with pytest.raises(SetupError, match="too few"):
        train_head(read_recording(few), QUICK)
    apart = recorded_drift(tmp_path / "apart_0.jsonl.gz", every_steps=HORIZON + 1)
    with pytest.raises(SetupError, match="raise --reach-ms"):
        train_head(read_recording(apart), QUICK)


def test_a_head_that_makes_nothing_better_is_not_made(tmp_path: Path) -> None:
    """What the policy says wanders off without aim: nothing follows from the state."""
    random = np.random.default_rng(0)
    wandering = random.normal(size=(72, 7)).cumsum(axis=0) + random.uniform(-500, 500, (6, 7))[np.arange(72) // 12]
    noise = [
        request(
            n,
            at=1_795_000_000.0 + n // 12 * 100 + n % 12 / 10,
            episode_id=f"e{n // 12}",
            actions_raw=np.tile(wandering[n].astype(np.float32), (50, 1)),
            state=tuple(random.normal(size=6).tolist()),
        )
        for n in range(1, 72)
    ]
    path = write_trace(tmp_path / "a_0.jsonl.gz", [header(), *noise])

    with pytest.raises(SetupError, match="nothing was written"):
        train_head(read_recording(path), Training(reach_ms=500.0, epochs=60, hidden=(64, 64)))
