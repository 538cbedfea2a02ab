"""When one way of asking is better than another beyond chance, and when that is only luck."""

from __future__ import annotations

import numpy as np
import pytest

from reflex_learning.diagnosis.scoring import LARGEST, evidence_of, frame_errors, scale_of, signed_rank


def test_an_error_is_in_spreads_of_the_recorded_actions() -> None:
    recorded = np.zeros((1, 2, 2))
    chunks = np.array([[[10.0, 1.0], [10.0, 1.0]]])

    assert frame_errors(chunks, recorded, np.array([20.0, 2.0])) == pytest.approx([0.5])


def test_one_wild_value_counts_no_more_than_its_bound() -> None:
    chunks, recorded = np.zeros((1, 1, 3)), np.zeros((1, 1, 3))
    chunks[0, 0, 0] = 1e9

    assert frame_errors(chunks, recorded, np.ones(3)) == pytest.approx([LARGEST / 3])


def test_what_the_server_refused_counts_as_wrong_and_what_was_not_recorded_not_at_all() -> None:
    refused, unknown = np.full((1, 1, 2), np.nan), np.full((1, 1, 2), np.nan)

    assert frame_errors(refused, np.zeros((1, 1, 2)), np.ones(2)) == pytest.approx([LARGEST])
    assert np.isnan(frame_errors(np.zeros((1, 1, 2)), unknown, np.ones(2))).all()


def test_an_axis_that_hardly_moves_does_not_decide_alone() -> None:
    moves = np.array([[0.0, 0.0, 0.0], [40.0, 40.0, 1e-6]])

    assert scale_of([moves]) == pytest.approx([20.0, 20.0, 1.0])


def test_a_collapse_in_every_frame_is_one() -> None:
    before = np.linspace(0.4, 0.6, 24)

    assert evidence_of(before, before * 0.4).is_collapse(tested=6)


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_any_size_is_no_collapse(seed: int) -> None:
    random = np.random.default_rng(seed)
    before, after = random.uniform(0.1, 1.0, 24), random.uniform(0.1, 1.0, 24)

    assert not evidence_of(before, after).is_collapse(tested=6)


def test_a_small_gain_in_every_frame_is_none() -> None:
    before = np.linspace(0.4, 0.6, 24)

    assert not evidence_of(before, before * 0.9).is_collapse(tested=6)


def test_a_large_gain_in_a_few_frames_is_none() -> None:
    before = np.full(24, 0.5)
    after = np.concatenate([np.full(13, 0.05), np.full(11, 0.6)])

    assert not evidence_of(before, after).is_collapse(tested=6)


def test_too_few_frames_show_nothing() -> None:
    assert not evidence_of(np.full(4, 0.5), np.full(4, 0.1)).is_collapse(tested=6)
    assert not evidence_of(np.full(4, np.nan), np.full(4, 0.1)).is_collapse(tested=1)


def test_a_gain_that_half_of_the_frames_show_is_seen_beside_those_in_which_nothing_changes() -> None:
    before, after = np.full(32, 0.4), np.full(32, 0.1)
    before[16:] = 0.1 + np.resize([0.003, -0.003], 16)

    found = evidence_of(before, after)

    assert found.better == 24
    assert found.is_collapse(tested=6)


@pytest.mark.parametrize(
    ("gains", "chance"),
    [
        ([1.0, 2.0, 3.0], 1 / 8),
        ([-1.0, 2.0, 3.0], 2 / 8),
        ([-1.0, -2.0, -3.0], 1.0),
        ([1.0, 1.0, -1.0], 4 / 8),
        ([0.0, 0.0, 5.0], 1 / 2),
        ([], 1.0),
    ],
)
def test_chance_is_that_of_all_ways_to_lose_and_gain(gains: list[float], chance: float) -> None:
    assert signed_rank(np.array(gains)) == pytest.approx(chance)


def test_two_explanations_are_alike_unless_one_is_better_beyond_chance_or_by_far() -> None:
    random = np.random.default_rng(1)
    first = random.uniform(0.1, 0.2, 32)

    assert evidence_of(first, first).is_alike
    assert evidence_of(first, first + random.normal(0, 0.02, 32)).is_alike
    assert not evidence_of(first, first * 0.95).is_alike
    assert not evidence_of(first, first * 0.5).is_alike
