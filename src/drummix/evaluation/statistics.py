"""How sure the summaries are: bootstrap intervals of medians, and differences on the same items.

In: an `EvaluationTable` and a random generator. Out: intervals by item. Items are what is drawn:
the figures of one item belong together, whatever systems made them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.manifest import TARGETS, Target
from drummix.evaluation.measuring import METRICS, Metric
from drummix.evaluation.table import EvaluationTable

N_DRAWS = 10_000
CONFIDENCE = 0.95
LEADING = tuple(metric for metric in METRICS if metric.is_leading)


@dataclass(frozen=True)
class Interval:
    """A median and where it would lie with other items.

    Args:
        n: Number of values.
        median: Their median; NaN where there is none.
        low: Lower end of the interval.
        high: Upper end.
    """

    n: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class MedianInterval:
    """`Interval` of a metric of a system against a target."""

    target: Target
    system: str
    metric: str
    interval: Interval


@dataclass(frozen=True)
class PairedDifference:
    """A metric of one system minus that of another, item by item.

    Args:
        target: What both were compared with.
        metric: Name of the metric.
        first: A system.
        second: The system that is subtracted.
        interval: The median difference.
        n_better: Number of items on which `first` is better.
    """

    target: Target
    metric: str
    first: str
    second: str
    interval: Interval
    n_better: int


def bootstrap_median(values: Iterable[float], rng: np.random.Generator) -> Interval:
    """The median of values and its percentile bootstrap interval of 95%.

    Args:
        values: Values; NaN are left out.
        rng: Draws the items of the bootstrap.

    Returns:
        NaN for all where there is no value; an interval of no width where there is one.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if known.size == 0:
        return Interval(0, math.nan, math.nan, math.nan)
    medians = np.median(known[rng.integers(known.size, size=(N_DRAWS, known.size))], axis=1)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(medians, [tail, 1.0 - tail])
    return Interval(known.size, float(np.median(known)), float(low), float(high))


def median_intervals(
    table: EvaluationTable, rng: np.random.Generator, *, metrics: Sequence[Metric] = LEADING
) -> tuple[MedianInterval, ...]:
    """Intervals of the medians of every system, dry targets first."""
    found = _values_by_item(table)
    return tuple(
        MedianInterval(target, system, metric.name, bootstrap_median(by_item.values(), rng))
        for target in TARGETS
        for system in table.systems
        for metric in metrics
        if (by_item := found.get((target, system, metric.name))) is not None
    )


def paired_differences(
    table: EvaluationTable, rng: np.random.Generator, *, metrics: Sequence[Metric] = LEADING
) -> tuple[PairedDifference, ...]:
    """Differences of every two systems with one target, over the items that both have mixed."""
    found = _values_by_item(table)
    differences = []
    for target in TARGETS:
        systems = [s for s in table.systems if (target, s, metrics[0].name) in found]
        for first, second in combinations(systems, 2):
            for metric in metrics:
                of_first, of_second = (found[target, s, metric.name] for s in (first, second))
                both = np.array(
                    [(of_first[item], of_second[item]) for item in of_first if item in of_second]
                ).reshape(-1, 2)
                interval = bootstrap_median(both[:, 0] - both[:, 1], rng)
                n_better = int(np.count_nonzero(_is_better(metric, both[:, 0], both[:, 1])))
                differences.append(
                    PairedDifference(target, metric.name, first, second, interval, n_better)
                )
    return tuple(differences)


def _is_better(
    metric: Metric, first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.bool_]:
    if metric.better == "higher":
        return np.asarray(first > second)
    if metric.better == "lower":
        return np.asarray(first < second)
    return np.asarray(np.abs(first) < np.abs(second))


def _values_by_item(table: EvaluationTable) -> dict[tuple[Target, str, str], dict[str, float]]:
    """(target, system, metric) -> item -> value."""
    found: dict[tuple[Target, str, str], dict[str, float]] = {}
    for row in table.measurements:
        found.setdefault((row.target, row.system, row.metric), {})[row.item] = row.value
    return found
