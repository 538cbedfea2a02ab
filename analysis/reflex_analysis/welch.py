"""Two groups of independent values: how far their means lie apart, and how sure that is.

Welch's t interval (Welch 1947, Biometrika 34), Hedges' g (Hedges 1981, Journal of Educational Statistics 6), Holm's
correction (Holm 1979, Scandinavian Journal of Statistics 6). Student's t comes from the regularised incomplete beta
function by Lentz's continued fraction (NIST Digital Library of Mathematical Functions, 8.17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Difference", "detectable", "episodes_needed", "holm", "student_quantile", "student_tail", "welch"]

CONFIDENCE: Final = 0.95
POWER: Final = 0.8
MAX_NEWTON_STEPS: Final = 60
"""Ten are enough from four degrees of freedom on."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of group b less that of group a. `low` and `high` are its 95 % confidence interval.

    `effect` is Hedges' g: the difference in standard deviations of a value. `p_value` is two-sided, uncorrected.
    """

    count_a: int
    count_b: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    effect: float | None
    deviation_a: float
    deviation_b: float


def welch(a: Values, b: Values) -> Difference:
    """Compare two groups of at least two values each, whose variances may differ.

    The p-value is never below what a permutation test of so few values could reach, so that two groups of three
    constants prove nothing.
    """
    difference = float(b.mean() - a.mean())
    deviation_a, deviation_b = float(a.std(ddof=1)), float(b.std(ddof=1))
    error, freedom = _standard_error(a, b)
    least_p = _least_p(len(a), len(b))
    if error == 0:
        p_value, margin = (1.0 if difference == 0 else least_p), 0.0
    else:
        p_value = max(2 * student_tail(abs(difference) / error, freedom), least_p)
        margin = error * student_quantile(0.5 + CONFIDENCE / 2, freedom)
    return Difference(
        count_a=len(a),
        count_b=len(b),
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=difference,
        low=difference - margin,
        high=difference + margin,
        p_value=p_value,
        effect=_hedges_g(difference, deviation_a, deviation_b, len(a) + len(b)),
        deviation_a=deviation_a,
        deviation_b=deviation_b,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value corrected for how many there are, in their own order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def episodes_needed(found: Difference, alpha: float) -> int | None:
    """Values per group with which a difference like this one is found four times of five; None for no difference.

    The normal approximation n = (z(1 - alpha/2) + z(0.8))^2 (sa^2 + sb^2) / d^2.
    """
    if found.difference == 0:
        return None
    variance = found.deviation_a**2 + found.deviation_b**2
    return max(2, math.ceil(_z_sum(alpha) ** 2 * variance / found.difference**2))


def detectable(found: Difference, alpha: float) -> float:
    """The least difference that groups of this size show four times of five."""
    return _z_sum(alpha) * math.sqrt(found.deviation_a**2 / found.count_a + found.deviation_b**2 / found.count_b)


def student_tail(t: float, freedom: float) -> float:
    """The chance that Student's t exceeds `t`, which is not negative."""
    return 0.5 * _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def student_quantile(chance: float, freedom: float) -> float:
    """The value that Student's t stays below with `chance`, from 0.5 up to under 1.

    Newton's steps from the normal distribution's, which lies to the left: the tail is convex, so none goes too far.
    """
    quantile = NormalDist().inv_cdf(chance)
    for _ in range(MAX_NEWTON_STEPS):
        step = (student_tail(quantile, freedom) - (1 - chance)) / _student_density(quantile, freedom)
        quantile += step
        if abs(step) <= 1e-12 * quantile:
            break
    return quantile


def _student_density(t: float, freedom: float) -> float:
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    return scale * math.exp(-(freedom + 1) / 2 * math.log1p(t * t / freedom))


def _least_p(count_a: int, count_b: int) -> float:
    """The smallest two-sided p-value of a permutation test: two of all ways to deal the values out."""
    ways = math.lgamma(count_a + count_b + 1) - math.lgamma(count_a + 1) - math.lgamma(count_b + 1)
    return min(1.0, 2 * math.exp(-ways))


def _standard_error(a: Values, b: Values) -> tuple[float, float]:
    """Of the difference of the means, and its degrees of freedom (Welch-Satterthwaite)."""
    part_a, part_b = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    whole = part_a + part_b
    if whole == 0:
        return 0.0, float(len(a) + len(b) - 2)
    shares = (part_a / whole) ** 2 / (len(a) - 1) + (part_b / whole) ** 2 / (len(b) - 1)
    return math.sqrt(whole), 1 / shares


def _hedges_g(difference: float, deviation_a: float, deviation_b: float, count: int) -> float | None:
    deviation = math.sqrt((deviation_a**2 + deviation_b**2) / 2)
    if deviation == 0:
        return None
    return difference / deviation * (1 - 3 / (4 * count - 9)) if count > 3 else difference / deviation


def _z_sum(alpha: float) -> float:
    return NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(POWER)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b). The fraction converges fast only below the mean, hence the symmetry."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / (a * _continued_fraction(x, a, b))


def _continued_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    value, upper, lower = 1.0, 1.0, 0.0
    for index in range(1, 400):
        half = index // 2
        if index % 2:
            term = -(a + half) * (a + b + half) * x / ((a + index - 1) * (a + index))
        else:
            term = half * (b - half) * x / ((a + index - 1) * (a + index))
        lower = 1 / (1 + term * lower or tiny)
        upper = 1 + term / upper or tiny
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-14:
            break
    return value
