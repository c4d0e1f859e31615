"""How well listeners repeat themselves, from items they met twice without knowing.

Source: McGraw and Wong, Psychol. Methods 1(1), 1996: ICC(A,1), the agreement of single
ratings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drummix.listening.statistics.paired import Interval
from drummix.listening.statistics.scores import FloatArray, IntArray, Scores

MIN_PAIRS = 10
MIN_LISTENERS = 3


@dataclass(frozen=True)
class Reliability:
    """First against second rating of the same thing by the same listener.

    Args:
        n_pairs: Ratings given twice.
        n_listeners: By how many listeners.
        icc: ICC(A,1), 1 where the second is as the first, with its cluster-bootstrap interval.
        correlation: Pearson's test-retest correlation.
        error_sd: Standard deviation of a single rating around what the listener means, in points.
        mean_shift: Mean of second minus first, in points.
        by_listener: Listener -> mean absolute difference, in points.
    """

    n_pairs: int
    n_listeners: int
    icc: Interval
    correlation: float
    error_sd: float
    mean_shift: float
    by_listener: dict[str, float]


def reliability(
    scores: Scores, rng: np.random.Generator, *, n_bootstrap: int = 1_000
) -> Reliability | str:
    """Compare repeated ratings.

    Returns:
        What was found, or why there is nothing to find.
    """
    listener, first, second = repeated(scores)
    n_listeners = len(set(listener.tolist()))
    if listener.size < MIN_PAIRS or n_listeners < MIN_LISTENERS:
        return (
            f"reliability needs {MIN_PAIRS} ratings given twice by {MIN_LISTENERS} listeners; "
            f"there are {listener.size} by {n_listeners}"
        )
    if np.ptp(np.concatenate([first, second])) == 0:
        return "reliability cannot be told: all repeated scores are alike"
    by_cluster = [np.flatnonzero(listener == number) for number in np.unique(listener)]
    drawn = np.full(n_bootstrap, np.nan)
    for resample in range(n_bootstrap):
        chosen = rng.integers(0, len(by_cluster), len(by_cluster))
        rows = np.concatenate([by_cluster[number] for number in chosen])
        drawn[resample] = icc_agreement(first[rows], second[rows])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    shift = second - first
    has_spread = np.ptp(first) > 0 and np.ptp(second) > 0
    return Reliability(
        n_pairs=listener.size,
        n_listeners=n_listeners,
        icc=Interval(icc_agreement(first, second), float(low), float(high)),
        correlation=float(np.corrcoef(first, second)[0, 1]) if has_spread else math.nan,
        error_sd=float(np.sqrt(np.mean(shift**2) / 2.0)),
        mean_shift=float(shift.mean()),
        by_listener={
            scores.listeners[int(listener[rows[0]])]: float(np.abs(shift[rows]).mean())
            for rows in by_cluster
        },
    )


def repeated(scores: Scores) -> tuple[IntArray, FloatArray, FloatArray]:
    """Listener, first and second score of each (listener, item, system) that was rated twice."""
    found: dict[tuple[int, int, int], dict[int, float]] = {}
    rows = zip(
        scores.listener.tolist(),
        scores.item.tolist(),
        scores.system.tolist(),
        scores.repeat.tolist(),
        scores.score.tolist(),
        strict=True,
    )
    for listener, item, system, repeat, score in rows:
        found.setdefault((listener, item, system), {})[repeat] = score
    twice = [(key[0], by[0], by[1]) for key, by in found.items() if 0 in by and 1 in by]
    columns = np.array(twice, dtype=np.float64).reshape(-1, 3).T
    return columns[0].astype(np.intp), columns[1], columns[2]


def icc_agreement(first: FloatArray, second: FloatArray) -> float:
    """ICC(A,1) of two ratings each; NaN where nothing varies.

    >>> icc_agreement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    ratings = np.stack([first, second], axis=1)
    n = len(ratings)
    grand = ratings.mean()
    rows = 2.0 * ((ratings.mean(axis=1) - grand) ** 2).sum() / max(1, n - 1)
    columns = n * ((ratings.mean(axis=0) - grand) ** 2).sum()
    whole = ((ratings - grand) ** 2).sum()
    rest = max(0.0, whole - rows * (n - 1) - columns) / max(1, n - 1)
    below = rows + rest + 2.0 * (columns - rest) / n
    return float((rows - rest) / below) if below > 0 else math.nan
