"""Paired comparisons with the listener as what was sampled.

In: mean scores or differences, a row a listener. Out: tests and effect sizes. Items are taken as
they are: what is found holds for these items; `mixed` speaks of others too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from drummix.listening.statistics.scores import FloatArray

MIN_FRIEDMAN_LISTENERS = 5
"""Below it, the chi-square distribution is a poor stand-in for that of Friedman's statistic."""

MIN_BOOTSTRAP_LISTENERS = 5
N_FLIPS = 20_000
N_BOOTSTRAP = 4_000
_MAX_EXACT_LISTENERS = 14
# A difference in rounding must not decide between two signs of the same size.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Friedman:
    """Friedman's test on the listeners' means.

    Args:
        n_listeners: Listeners with a page on which every system is rated.
        statistic: Chi-square.
        df: Its degrees of freedom.
        p: Its p.
        kendall_w: Agreement of the listeners' rankings, 0 none to 1 all alike.
    """

    n_listeners: int
    statistic: float
    df: int
    p: float
    kendall_w: float


def friedman(means: FloatArray) -> Friedman | str:
    """Friedman's test.

    Args:
        means: Mean scores (listeners, systems).

    Returns:
        The test, or why there is none.
    """
    n_listeners, n_systems = means.shape
    if n_systems < 3:
        return "Friedman's test compares 3 systems or more; with 2, see the paired test"
    if n_listeners < MIN_FRIEDMAN_LISTENERS:
        return (
            f"Friedman's test needs {MIN_FRIEDMAN_LISTENERS} listeners with a page on which every "
            f"system is rated, for its chi-square distribution to hold; there are {n_listeners}"
        )
    if not np.ptp(means, axis=1).any():
        return "Friedman's test has nothing to rank: each listener scored all systems alike"
    found = stats.friedmanchisquare(*means.T)
    statistic = float(found.statistic)
    w = statistic / (n_listeners * (n_systems - 1))
    return Friedman(n_listeners, statistic, n_systems - 1, float(found.pvalue), w)


def sign_flip_p(
    differences: FloatArray, rng: np.random.Generator, *, n_flips: int = N_FLIPS
) -> FloatArray:
    """Paired permutation test of each column: could the mean difference come from chance signs?

    If two systems are equal for listeners, each listener's difference could as well have had the
    other sign. All sign patterns are tried up to 14 listeners, else `n_flips` random ones, and
    the pattern found is counted among them, so that p is never below 1 / (n_flips + 1).

    Args:
        differences: Mean difference of each (listener, pair); NaN where it is not known.
        rng: Draws the signs.
        n_flips: Number of random patterns.

    Returns:
        Two-sided p of each pair; NaN without listeners.
    """
    n_listeners = differences.shape[0]
    known = np.nan_to_num(differences)
    found = np.abs(known.sum(axis=0))
    if n_listeners <= _MAX_EXACT_LISTENERS:
        patterns = np.arange(2**n_listeners)[:, np.newaxis] >> np.arange(n_listeners)
        sums = (1.0 - 2.0 * (patterns & 1)) @ known
        n_added = 0
    else:
        signs = 1.0 - 2.0 * rng.integers(0, 2, (n_flips, n_listeners), dtype=np.int8)
        sums = signs @ known
        n_added = 1
    at_least = (np.abs(sums) >= found - _ROUNDING).sum(axis=0)
    p = (at_least + n_added) / (len(sums) + n_added)
    return np.where(np.isnan(differences).all(axis=0), np.nan, p)


def smallest_p(n_listeners: int, n_flips: int = N_FLIPS) -> float:
    """The smallest p that the sign-flip test can give.

    >>> smallest_p(5)
    0.0625
    """
    if n_listeners > _MAX_EXACT_LISTENERS:
        return max(2.0 ** (1 - n_listeners), 1.0 / (n_flips + 1))
    return min(1.0, 2.0 ** (1 - n_listeners))


def listeners_needed(alpha: float, n_pairs: int) -> int:
    """Listeners below which no pair can pass the first step of Holm's correction.

    >>> listeners_needed(0.05, 1), listeners_needed(0.05, 21)
    (6, 10)
    """
    return math.ceil(1.0 + math.log2(n_pairs / alpha) - 1e-12)


def holm(p: FloatArray) -> FloatArray:
    """Holm's correction: p for the family of all tests; NaN stays NaN and is not counted.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


@dataclass(frozen=True)
class Interval:
    """A value and the interval that the data leave it."""

    value: float
    low: float
    high: float


def bootstrap_counts(
    n_listeners: int, rng: np.random.Generator, n_bootstrap: int = N_BOOTSTRAP
) -> FloatArray:
    """How often each listener is drawn in each resample, (resamples, listeners).

    Whole listeners are drawn: their ratings are a cluster and stay together.
    """
    probabilities = np.full(n_listeners, 1.0 / n_listeners)
    return rng.multinomial(n_listeners, probabilities, size=n_bootstrap).astype(np.float64)


def mean_intervals(
    differences: FloatArray, counts: FloatArray, *, level: float = 0.95
) -> tuple[Interval, ...]:
    """Mean difference of each column, with its cluster-bootstrap interval.

    Args:
        differences: Mean difference of each (listener, pair); NaN where it is not known.
        counts: Of `bootstrap_counts`.
        level: Share of intervals that shall hold the true value.
    """
    n, mean, _ = _mean_and_sd(np.ones((1, len(differences))), differences)
    n_drawn, mean_drawn, _ = _mean_and_sd(counts, differences)
    return _percentiles(mean[0], np.where(n_drawn > 0, mean_drawn, np.nan), n[0], level)


def standardised_intervals(
    differences: FloatArray, counts: FloatArray, *, level: float = 0.95
) -> tuple[Interval, ...]:
    """Cohen's d_z of each column: the mean difference in standard deviations between listeners.

    Args:
        differences: Mean difference of each (listener, pair); NaN where it is not known.
        counts: Of `bootstrap_counts`; the resamples of `mean_intervals`.
        level: Share of intervals that shall hold the true value.
    """
    n, mean, sd = _mean_and_sd(np.ones((1, len(differences))), differences)
    n_drawn, mean_drawn, sd_drawn = _mean_and_sd(counts, differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.where((n > 1) & (sd > _ROUNDING), mean / sd, np.nan)
        drawn = np.where((n_drawn > 1) & (sd_drawn > _ROUNDING), mean_drawn / sd_drawn, np.nan)
    return _percentiles(d[0], drawn, n[0], level)


def _mean_and_sd(
    counts: FloatArray, differences: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Number, mean and standard deviation of the listeners of each (resample, pair)."""
    known = ~np.isnan(differences)
    values = np.nan_to_num(differences)
    n = counts @ known.astype(np.float64)
    mean = counts @ values / np.maximum(n, 1.0)
    squares = np.maximum(counts @ values**2 - n * mean**2, 0.0)
    return n, np.where(n > 0, mean, np.nan), np.sqrt(squares / np.maximum(n - 1.0, 1.0))


def superiority_intervals(
    cells: FloatArray,
    pairs: tuple[tuple[int, int], ...],
    counts: FloatArray,
    *,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """How often the first of a pair was scored higher on the same page, ties half; 0.5 is equal.

    Args:
        cells: Scores (listeners, items, systems), NaN where there is none.
        pairs: Pairs of systems.
        counts: Of `bootstrap_counts`, for the percentile intervals.
        level: Share of intervals that shall hold the true value.
    """
    first, second = np.array(pairs).T
    by_item = cells[:, :, first] - cells[:, :, second]
    n_items = (~np.isnan(by_item)).sum(axis=1).astype(np.float64)
    wins = ((by_item > 0) + 0.5 * (by_item == 0)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = wins.sum(axis=0) / n_items.sum(axis=0)
        drawn = (counts @ wins) / (counts @ n_items)
    return _percentiles(share, drawn, (n_items > 0).sum(axis=0), level)


def _percentiles(
    values: FloatArray, drawn: FloatArray, n: FloatArray, level: float
) -> tuple[Interval, ...]:
    """Expanded percentile intervals: as wide as Student's t is wider than the normal curve.

    Plain percentiles are too narrow with few listeners, by a tenth with ten.

    Source: Hesterberg, The American Statistician 69(4), 2015, section 5.3.
    """
    intervals = []
    for pair, value in enumerate(values):
        known = drawn[~np.isnan(drawn[:, pair]), pair]
        if n[pair] < MIN_BOOTSTRAP_LISTENERS or not known.size:
            intervals.append(Interval(float(value), math.nan, math.nan))
            continue
        reach = math.sqrt(n[pair] / (n[pair] - 1)) * stats.t.ppf((1 + level) / 2, n[pair] - 1)
        tail = float(stats.norm.cdf(-reach))
        low, high = (float(end) for end in np.quantile(known, [tail, 1 - tail]))
        intervals.append(Interval(float(value), low, high))
    return tuple(intervals)
