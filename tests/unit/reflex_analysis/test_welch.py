from __future__ import annotations

import math

import numpy as np
import pytest

from reflex_analysis.welch import detectable, episodes_needed, holm, student_quantile, student_tail, welch


def tail_by_integration(t: float, freedom: float) -> float:
    """The density's own integral, from its textbook formula."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    # x = tan(u) maps what is left of the axis to a finite piece.
    u = np.linspace(math.atan(t), math.pi / 2, 400_001)[:-1]
    density = scale * (1 + np.tan(u) ** 2 / freedom) ** (-(freedom + 1) / 2) / np.cos(u) ** 2
    return float(np.trapz(density, u))


@pytest.mark.parametrize("freedom", [1.5, 4.0, 17.3, 250.0])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.5, 6.0])
def test_the_tail_of_students_t_is_the_integral_of_its_density(t: float, freedom: float) -> None:
    assert student_tail(t, freedom) == pytest.approx(tail_by_integration(t, freedom), rel=2e-4, abs=1e-12)


@pytest.mark.parametrize(
    ("chance", "freedom", "tabled"),
    [(0.975, 1, 12.706), (0.975, 5, 2.571), (0.975, 30, 2.042), (0.95, 120, 1.658), (0.995, 10, 3.169)],
)
def test_the_quantiles_are_those_of_the_tables(chance: float, freedom: float, tabled: float) -> None:
    assert student_quantile(chance, freedom) == pytest.approx(tabled, abs=6e-4)


def test_a_known_example() -> None:
    """Two groups of five, by hand: means 3 and 6, variances 2.5, so t = 3, 8 degrees of freedom."""
    found = welch(np.arange(1.0, 6), np.arange(4.0, 9))

    assert (found.mean_a, found.mean_b, found.difference) == (3.0, 6.0, 3.0)
    assert found.p_value == pytest.approx(0.01707, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((0.694, 5.306), abs=1e-3)
    assert found.effect == pytest.approx(3 / math.sqrt(2.5) * (1 - 3 / 31))


@pytest.mark.slow
def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        found = welch(random.normal(0, 1, 12), random.normal(1, 4, 25))
        inside += found.low <= 1 <= found.high
    assert 930 <= inside <= 970


def test_a_few_constants_prove_nothing() -> None:
    assert welch(np.zeros(3), np.ones(3)).p_value == pytest.approx(0.1)
    assert welch(np.zeros(9), np.zeros(9)).p_value == 1.0
    assert welch(np.zeros(9), np.ones(9)).p_value < 0.001


def test_holm_corrects_each_p_value_in_its_place() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_with_the_episodes_that_are_said_to_be_needed_the_difference_is_found_four_times_of_five() -> None:
    random = np.random.default_rng(2)
    a, b = random.normal(10, 2, 4000), random.normal(11, 2, 4000)
    needed = episodes_needed(welch(a, b), 0.05)
    assert needed is not None
    found = sum(welch(random.normal(10, 2, needed), random.normal(11, 2, needed)).p_value <= 0.05 for _ in range(300))
    assert 0.72 <= found / 300 <= 0.88


def test_no_difference_needs_no_number_of_episodes() -> None:
    assert episodes_needed(welch(np.ones(5), np.ones(5)), 0.05) is None


def test_more_episodes_show_smaller_differences() -> None:
    random = np.random.default_rng(3)
    few, many = (welch(random.normal(size=count), random.normal(size=count)) for count in (10, 1000))

    assert detectable(many, 0.05) < detectable(few, 0.05) / 5
