from __future__ import annotations

import numpy as np
import pytest

from reflex.traces.reader import Entry
from reflex.traces.schema import RequestRecord
from reflex_analysis import measures as measures_module
from reflex_analysis.measures import ChunkMeasures, EpisodeChunks, PerAxis, chunk_jerk, chunk_jump
from support.traces import STARTED_AT, header, policy, request, smooth_chunk


def measure(chunks: EpisodeChunks, record: RequestRecord) -> ChunkMeasures:
    return chunks.measure(Entry(header(), record), record)


def values(per_axis: PerAxis | None) -> list[float]:
    assert per_axis is not None
    return [float(value) for value in per_axis]


def test_a_straight_line_and_a_parabola_have_no_jerk_and_a_cubic_has_a_constant_one() -> None:
    steps = np.arange(20, dtype=np.float32)
    jerk = chunk_jerk(np.stack([steps, steps**2, steps**3], axis=1))

    assert jerk is not None
    np.testing.assert_allclose(jerk, [0, 0, 36])  # the third difference of k^3 is 3! = 6


def test_three_steps_have_no_third_difference() -> None:
    assert chunk_jerk(smooth_chunk(3)) is None
    assert chunk_jerk(smooth_chunk(4)) is not None


@pytest.mark.parametrize(
    ("elapsed_s", "control_hz", "planned_step"),
    [(0.0, 10.0, 0), (0.5, 10.0, 5), (0.54, 10.0, 5), (99.0, 10.0, 19), (0.5, None, 19), (-1.0, 10.0, 0)],
)
def test_a_jump_is_from_what_was_planned_for_that_moment(
    elapsed_s: float, control_hz: float | None, planned_step: int
) -> None:
    before = smooth_chunk(20)
    chunk = smooth_chunk(20, start=5.0)

    jump = chunk_jump(before, chunk, elapsed_s, control_hz)

    np.testing.assert_allclose(jump, np.abs(chunk[0] - before[planned_step]))


def test_only_chunks_of_one_episode_and_one_policy_have_jumps() -> None:
    chunks = EpisodeChunks()

    assert measure(chunks, request(1, at=STARTED_AT)).jump is None
    assert measure(chunks, request(2, at=STARTED_AT, episode_id="other")).jump is None
    assert measure(chunks, request(3, at=STARTED_AT, policy="newer@1")).jump is None
    assert measure(chunks, request(4, at=STARTED_AT, episode_id=None)).jump is None
    assert values(measure(chunks, request(5, at=STARTED_AT, policy="newer@1")).jump) == [0.0] * 7


def test_errors_have_no_measures_and_do_not_break_the_episode() -> None:
    chunks = EpisodeChunks()
    measure(chunks, request(1, at=STARTED_AT))

    assert measure(chunks, request(2, status=503, actions_raw=None)) == ChunkMeasures()
    assert measure(chunks, request(3, at=STARTED_AT)).jump is not None


def test_the_answered_chunk_is_measured_and_not_the_raw_one() -> None:
    rough = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)

    jerk = measure(EpisodeChunks(), request(actions_raw=rough, actions=smooth_chunk())).jerk

    assert max(values(jerk)) < 1e-12


def test_the_longest_quiet_episode_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures_module, "MAX_EPISODES_AT_ONCE", 2)
    chunks = EpisodeChunks()
    for seq, episode in enumerate(("old", "kept", "old", "new"), 1):
        measure(chunks, request(seq, episode_id=episode))

    assert measure(chunks, request(9, episode_id="old")).jump is not None
    assert measure(chunks, request(10, episode_id="kept")).jump is None


def test_a_policy_without_a_rate_is_taken_to_stand_at_its_last_action() -> None:
    chunks = EpisodeChunks()
    slow = header({"a": policy(control_hz=None)})
    first, second = request(1, at=STARTED_AT), request(2, at=STARTED_AT)
    chunks.measure(Entry(slow, first), first)

    jump = chunks.measure(Entry(slow, second), second).jump

    assert values(jump) == [49 / 64] * 7
