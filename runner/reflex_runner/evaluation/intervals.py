"""Intervals of 95 % for a success rate and for the difference of two that were measured on the same seeds."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["Interval", "Pairs", "exact_p_value", "paired_difference", "wilson"]

Z: Final = 1.959963984540054
"""The normal distribution's quantile of 0.975: 95 % lie between it and its negative."""


class Interval(NamedTuple):
    """Both ends, as shares."""

    low: float
    high: float


class Pairs(NamedTuple):
    """How many seeds each outcome had: the paired table of two policies."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def total(self) -> int:
        """Of all seeds."""
        return sum(self)


def wilson(successes: int, count: int) -> Interval:
    """Wilson's score interval; nothing is known of no episode, so that is 0 to 1.

        (p + z²/2n ± z sqrt(p (1 - p)/n + z²/4n²)) / (1 + z²/n)

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of the American
    Statistical Association 22 (1927), pages 209 to 212.
    """
    if count == 0:
        return Interval(0.0, 1.0)
    rate, share = successes / count, Z * Z / count
    middle = (rate + share / 2) / (1 + share)
    half = Z * math.sqrt(rate * (1 - rate) / count + share / (4 * count)) / (1 + share)
    return Interval(0.0 if successes == 0 else middle - half, 1.0 if successes == count else middle + half)


def paired_difference(pairs: Pairs) -> Interval:
    """Newcombe's interval for the second rate less the first, on the same seeds; of no pair -1 to 1.

    Wilson's intervals of both rates, squared and added, less twice their product times the correlation phi of the
    pairs, which is corrected for continuity: method 10 of R. G. Newcombe, Improved confidence intervals for the
    difference between binomial proportions based on paired data, Statistics in Medicine 17 (1998), pages 2635 to 2650.
    """
    if pairs.total == 0:
        return Interval(-1.0, 1.0)
    first, second = pairs.both + pairs.first_only, pairs.both + pairs.second_only
    below, above = _reach(first, pairs.total), _reach(second, pairs.total)
    phi, difference = _correlation(pairs), (second - first) / pairs.total
    low = difference - _joined(above.low, below.high, phi)
    return Interval(max(-1.0, low), min(1.0, difference + _joined(above.high, below.low, phi)))


def exact_p_value(pairs: Pairs) -> float:
    """Of the pairs in which one won alone: how likely a division as uneven is, if both policies are as good.

    McNemar's test, exact: twice the tail of a binomial distribution of one half. Q. McNemar, Psychometrika 12 (1947),
    pages 153 to 157.
    """
    fewer, discordant = min(pairs.first_only, pairs.second_only), pairs.first_only + pairs.second_only
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1))
    return min(1.0, float(2 * tail / (1 << discordant)))


def _reach(successes: int, count: int) -> Interval:
    """How far Wilson's interval goes to either side of the rate."""
    rate, interval = successes / count, wilson(successes, count)
    return Interval(rate - interval.low, interval.high - rate)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def _correlation(pairs: Pairs) -> float:
    both, first, second, neither = pairs
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    product = both * neither - first * second
    corrected = max(product - pairs.total / 2, 0.0) if product > 0 else float(product)
    return corrected / math.sqrt(margins)
