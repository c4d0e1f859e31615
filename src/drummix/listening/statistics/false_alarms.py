"""How often does each test find a difference where there is none? Counted on simulated studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from drummix.listening.simulate import Effects, simulate_scores
from drummix.listening.statistics.mixed import fit_mixed_model
from drummix.listening.statistics.paired import friedman, holm, sign_flip_p
from drummix.listening.statistics.scores import FloatArray, Scores

_MEAN = 60.0
_N_FLIPS = 1_000


@dataclass(frozen=True)
class FalseAlarms:
    """Share of studies of equal systems in which a test finds a difference at its level.

    Args:
        n_studies: Number of studies.
        kruskal_wallis: The paper's test over all systems.
        mann_whitney: One or more of the paper's pairs, after Bonferroni.
        friedman: Friedman's test on the listeners' means.
        permutation: One or more pairs of the paired permutation test, after Holm.
        mixed: The mixed model's test of the systems; NaN where it was not asked for.
    """

    n_studies: int
    kruskal_wallis: float
    mann_whitney: float
    friedman: float
    permutation: float
    mixed: float


def count_false_alarms(
    effects: Effects,
    rng: np.random.Generator,
    *,
    n_studies: int,
    n_listeners: int = 20,
    n_items: int = 6,
    n_systems: int = 7,
    alpha: float = 0.05,
    has_mixed: bool = False,
) -> FalseAlarms:
    """Simulate studies in which every system has the same mean, and count what is found.

    Args:
        effects: What moves a score.
        rng: Draws the studies and the sign patterns.
        n_studies: Number of studies.
        n_listeners: Listeners of each.
        n_items: Items of each.
        n_systems: Systems of each; the paper's seven.
        alpha: Level.
        has_mixed: Fit the mixed model too, which takes most of the time.
    """
    found = np.zeros((n_studies, 5))
    for study in range(n_studies):
        means = np.full(n_systems, _MEAN)
        drawn = simulate_scores(means, effects, rng, n_listeners=n_listeners, n_items=n_items)[0]
        scores = _scores(drawn)
        kruskal_wallis, mann_whitney = _published_p(drawn)
        over_all = friedman(scores.listener_means())
        p = sign_flip_p(scores.differences(), rng, n_flips=_N_FLIPS)
        model = fit_mixed_model(scores) if has_mixed else ""
        found[study] = (
            kruskal_wallis < alpha,
            mann_whitney < alpha,
            not isinstance(over_all, str) and over_all.p < alpha,
            np.nanmin(holm(p)) < alpha,
            np.nan if isinstance(model, str) else model.p < alpha,
        )
    return FalseAlarms(n_studies, *(float(share) for share in found.mean(axis=0)))


def _published_p(drawn: FloatArray) -> tuple[float, float]:
    """Kruskal-Wallis's p and the smallest Bonferroni-corrected p, as `published_statistics`."""
    groups = drawn.reshape(-1, drawn.shape[2]).T
    first, second = np.triu_indices(len(groups), 1)
    pairs = stats.mannwhitneyu(groups[first], groups[second], alternative="two-sided", axis=1)
    return float(stats.kruskal(*groups).pvalue), float(pairs.pvalue.min() * first.size)


def _scores(drawn: FloatArray) -> Scores:
    """A full table (listeners, items, systems) as scores."""
    listener, item, system = (index.ravel() for index in np.indices(drawn.shape))
    n_listeners, n_items, n_systems = drawn.shape
    return Scores(
        listeners=tuple(f"listener-{n}" for n in range(n_listeners)),
        items=tuple(f"item-{n}" for n in range(n_items)),
        systems=tuple(f"system-{n}" for n in range(n_systems)),
        roles=("test",) * n_systems,
        listener=listener,
        item=item,
        system=system,
        repeat=np.zeros(drawn.size, dtype=np.intp),
        score=drawn.ravel(),
    )
