"""How many listeners would the next study need? Studies are simulated with the effects found here.

Two systems near the middle of the scale differ by a given number of points, or not at all; the
share of simulated studies in which the paired test finds the difference, or the equivalence test
shows sameness, is the power. Every test is at the level that it has in the analysis, which corrects
both kinds for all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from drummix.listening.simulate import Effects, simulate_studies
from drummix.listening.statistics.scores import FloatArray

N_STUDIES = 1_000
LISTENERS = (6, 10, 15, 20, 30, 40, 60, 80)
DIFFERENCES = (3.0, 5.0, 10.0)
ENOUGH = 0.8


@dataclass(frozen=True)
class Power:
    """Power by the number of listeners.

    Args:
        n_items: Items that each of them rates.
        n_pairs: Pairs of systems compared; the level of each test, of either kind, is that of
            Holm's first step, which one pair among others that are not alike has to pass.
        alpha: Level for all pairs together.
        listeners: Numbers of listeners.
        differences: True difference in points -> power at each number of listeners.
        margin: Margin of the equivalence test, or None.
        equivalence: Power of the equivalence test of one pair that is truly equal; empty without
            a margin.
    """

    n_items: int
    n_pairs: int
    alpha: float
    listeners: tuple[int, ...]
    differences: dict[float, tuple[float, ...]]
    margin: float | None
    equivalence: tuple[float, ...]

    def enough_for(self, power: Sequence[float]) -> int | None:
        """Fewest listeners from which on power stays at 80% or more; None if too few were tried."""
        enough = None
        for n_listeners, value in zip(reversed(self.listeners), reversed(power), strict=True):
            if value < ENOUGH:
                break
            enough = n_listeners
        return enough


def study_power(
    effects: Effects,
    rng: np.random.Generator,
    *,
    n_items: int,
    n_pairs: int,
    margin: float | None = None,
    alpha: float = 0.05,
    differences: Sequence[float] = DIFFERENCES,
    listeners: Sequence[int] = LISTENERS,
    n_studies: int = N_STUDIES,
) -> Power:
    """Simulate studies and count what they find.

    The paired t-test stands in for the permutation test, which it equals closely and takes a
    thousandth of the time.

    Args:
        effects: What moves a score.
        rng: Draws the studies.
        n_items: Items of each.
        n_pairs: Pairs of systems that are compared.
        margin: Of the equivalence test.
        alpha: Level for all pairs together.
        differences: True differences in points.
        listeners: Numbers of listeners to try.
        n_studies: Studies for each; the error of a power near 80% is 1.3 points with 1,000.
    """
    level = alpha / n_pairs
    found: dict[float, list[float]] = {difference: [] for difference in differences}
    same: list[float] = []
    for n in listeners:
        for difference in differences:
            drawn = _differences(effects, rng, difference, n, n_items, n_studies)
            t = _t(drawn, 0.0)
            found[difference].append(float(np.mean(2 * stats.t.sf(np.abs(t), n - 1) < level)))
        if margin is not None:
            drawn = _differences(effects, rng, 0.0, n, n_items, n_studies)
            above = stats.t.sf(_t(drawn, -margin), n - 1)
            below = stats.t.cdf(_t(drawn, margin), n - 1)
            same.append(float(np.mean(np.maximum(above, below) < level)))
    return Power(
        n_items,
        n_pairs,
        alpha,
        tuple(listeners),
        {difference: tuple(values) for difference, values in found.items()},
        margin,
        tuple(same),
    )


def _differences(
    effects: Effects,
    rng: np.random.Generator,
    difference: float,
    n_listeners: int,
    n_items: int,
    n_studies: int,
) -> FloatArray:
    """Mean difference of each (study, listener)."""
    means = np.array([50.0 - difference / 2, 50.0 + difference / 2])
    shape = (n_studies, 1, n_listeners, n_items)
    by_item = simulate_studies(means, effects, rng, shape=shape)[:, 0]
    differences: FloatArray = (by_item[..., 1] - by_item[..., 0]).mean(axis=2)
    return differences


def _t(drawn: FloatArray, null: float) -> FloatArray:
    error = drawn.std(axis=1, ddof=1) / np.sqrt(drawn.shape[1])
    t: FloatArray = (drawn.mean(axis=1) - null) / np.maximum(error, 1e-9)
    return t
