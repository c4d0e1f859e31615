"""The statistics of the paper's section 4.1, as published: every rating as if independent.

Source: Martínez Ramírez, Stoller and Moffat, JAES 69(3), 2021, tables 3 and 4. Kept to compare
with the paper. The tests take the ratings of one listener for those of many; with tastes that
differ they find differences where there are none, see `docs/listening-analysis.md`.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from drummix.listening.statistics.scores import Scores

BETWEEN = "(*)"
"""For p from .01 to .05 the paper's legend has no sign; this one is ours."""


@dataclass(frozen=True)
class Normality:
    """A row of table 3.

    Args:
        system: Its name.
        n: Number of ratings.
        w: Shapiro-Wilk's W; NaN with fewer than 3 ratings, or all alike.
        p: Its p.
        median: Half of the ratings lie below.
        q1: A quarter of the ratings lies below.
        q3: Three quarters of the ratings lie below.
        mean: Their mean.
        sd: Their standard deviation.
    """

    system: str
    n: int
    w: float
    p: float
    median: float
    q1: float
    q3: float
    mean: float
    sd: float


@dataclass(frozen=True)
class PublishedPair:
    """A cell of table 4: Mann-Whitney's U, its p, and p times the number of pairs."""

    first: str
    second: str
    u: float
    p: float
    p_bonferroni: float

    @property
    def symbol(self) -> str:
        """The paper's sign for it."""
        return symbol(self.p_bonferroni)


@dataclass(frozen=True)
class Published:
    """Tables 3 and 4 and what stands between them.

    Args:
        normality: Table 3, a row a system.
        h: Kruskal-Wallis's H; NaN where all ratings are alike.
        df: Its degrees of freedom.
        p: Its p.
        pairs: Table 4.
    """

    normality: tuple[Normality, ...]
    h: float
    df: int
    p: float
    pairs: tuple[PublishedPair, ...]


def symbol(p: float) -> str:
    """The sign of table 4's legend: o from .05, * below .01, *** below .0001.

    >>> [symbol(p) for p in (0.2, 0.02, 0.005, 0.00001, float("nan"))]
    ['o', '(*)', '*', '***', '-']
    """
    if math.isnan(p):
        return "-"
    if p >= 0.05:
        return "o"
    if p < 0.0001:
        return "***"
    return "*" if p < 0.01 else BETWEEN


def published_statistics(scores: Scores) -> Published:
    """The paper's tests on all first ratings."""
    groups = [scores.first_scores(number) for number in range(len(scores.systems))]
    normality = tuple(
        _normality(name, group) for name, group in zip(scores.systems, groups, strict=True)
    )
    used = [group for group in groups if group.size]
    h = p = float("nan")
    if np.ptp(np.concatenate(used)) > 0 and len(used) > 1:
        h, p = (float(value) for value in stats.kruskal(*used))
    tests = []
    for first, second in scores.pairs:
        u = p_pair = float("nan")
        if groups[first].size and groups[second].size:
            found = stats.mannwhitneyu(groups[first], groups[second], alternative="two-sided")
            u, p_pair = float(found.statistic), float(found.pvalue)
        tests.append((scores.systems[first], scores.systems[second], u, p_pair))
    pairs = tuple(
        PublishedPair(*test, float(np.minimum(1.0, test[3] * len(tests)))) for test in tests
    )
    return Published(normality, h, len(used) - 1, p, pairs)


def _normality(system: str, group: np.ndarray) -> Normality:
    w = p = float("nan")
    if group.size >= 3 and np.ptp(group) > 0:
        with warnings.catch_warnings():
            # Above 5,000 ratings scipy says that p may not be accurate; it is far below any limit.
            warnings.simplefilter("ignore", UserWarning)
            w, p = (float(value) for value in stats.shapiro(group))
    if not group.size:
        return Normality(system, 0, w, p, *(5 * [float("nan")]))
    q1, median, q3 = (float(value) for value in np.quantile(group, [0.25, 0.5, 0.75]))
    sd = float(group.std(ddof=1)) if group.size > 1 else float("nan")
    return Normality(system, group.size, w, p, median, q1, q3, float(group.mean()), sd)
