"""The whole analysis of a listening test: what was published, and what the data can carry.

In: ratings and what was declared beforehand. Out: numbers, and for each test that could not be
made, why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from drummix.errors import TextFileError
from drummix.listening.results import Rating
from drummix.listening.simulate import SIMULATED, effects_of
from drummix.listening.statistics.declared import Declared
from drummix.listening.statistics.equivalence import MIN_LISTENERS, Equivalence, equivalence
from drummix.listening.statistics.exclusion import Screened, screen
from drummix.listening.statistics.mixed import MixedModel, fit_mixed_model
from drummix.listening.statistics.paired import (
    MIN_BOOTSTRAP_LISTENERS,
    Friedman,
    Interval,
    bootstrap_counts,
    friedman,
    holm,
    listeners_needed,
    mean_intervals,
    sign_flip_p,
    smallest_p,
    standardised_intervals,
    superiority_intervals,
)
from drummix.listening.statistics.power import Power, study_power
from drummix.listening.statistics.published import Published, published_statistics
from drummix.listening.statistics.reliability import Reliability, reliability
from drummix.listening.statistics.scores import Scores
from drummix.pool import on_one_blas_thread


class Verdict(StrEnum):
    """What is shown of a pair of systems. A large p shows nothing."""

    DIFFERENT = "different"
    DIFFERENT_WITHIN_MARGIN = "different, within the margin"
    SAME_WITHIN_MARGIN = "same within the margin"
    OPEN = "open"

    @property
    def is_different(self) -> bool:
        """Whether a difference is shown."""
        return self in (Verdict.DIFFERENT, Verdict.DIFFERENT_WITHIN_MARGIN)

    @property
    def is_within_margin(self) -> bool:
        """Whether any difference is shown to be smaller than the margin."""
        return self in (Verdict.DIFFERENT_WITHIN_MARGIN, Verdict.SAME_WITHIN_MARGIN)


@dataclass(frozen=True)
class Pair:
    """Two systems compared: first minus second.

    Args:
        first: One system.
        second: The other.
        n_listeners: Listeners who rated both on an item.
        difference: Mean difference in points.
        d_z: The same in standard deviations between listeners.
        superiority: How often the first was scored higher on a page.
        p: Of the paired permutation test.
        p_holm: The same, corrected for all pairs.
        equivalence: The equivalence test.
        p_equivalence_holm: Its p, corrected for all pairs.
        verdict: What is shown at the declared level.
    """

    first: str
    second: str
    n_listeners: int
    difference: Interval
    d_z: Interval
    superiority: Interval
    p: float
    p_holm: float
    equivalence: Equivalence
    p_equivalence_holm: float
    verdict: Verdict


@dataclass(frozen=True)
class Analysis:
    """Everything that was found.

    Args:
        studies: Names of the studies in the table.
        n_simulated: Rows that nobody rated.
        declared: What was fixed beforehand.
        screened: What is analysed, and what is not.
        all_scores: Scores of all listeners.
        published: The paper's statistics, on `all_scores`.
        scores: Scores of the listeners who are left; None where there are none.
        friedman: The test over all systems, or why there is none.
        pairs: Every pair of systems.
        mixed: The mixed model, or why there is none.
        reliability: What repeats tell, or why nothing.
        power: What the next study needs, or why it cannot be told.
        notes: What could not be done, or must be known, a sentence each.
    """

    studies: tuple[str, ...]
    n_simulated: int
    declared: Declared
    screened: Screened
    all_scores: Scores
    published: Published
    scores: Scores | None
    friedman: Friedman | str
    pairs: tuple[Pair, ...]
    mixed: MixedModel | str
    reliability: Reliability | str
    power: Power | str
    notes: tuple[str, ...]


@on_one_blas_thread
def analyse(ratings: Sequence[Rating], declared: Declared, rng: np.random.Generator) -> Analysis:
    """Analyse the ratings of a study.

    Args:
        ratings: The tidy table.
        declared: What was fixed beforehand.
        rng: Draws sign patterns, resamples and simulated studies.

    Returns:
        What was found.

    Raises:
        SettingError: If there are no scores, or of one system only.
    """
    screened = screen(ratings, declared)
    if not screened.all_ratings:
        raise TextFileError(
            f"none of the {len(ratings)} rows has a score on a submitted test page; "
            "there is nothing to analyse yet"
        )
    all_scores = Scores.of(screened.all_ratings)
    scores = _kept(screened)
    notes = []
    if scores is None:
        left = "Screening leaves no two systems to compare"
        results: tuple[Friedman | str, MixedModel | str, Reliability | str] = (left, left, left)
        pairs: tuple[Pair, ...] = ()
    else:
        pairs = _pairs(scores, declared, rng)
        means = scores.listener_means()
        results = (friedman(means), fit_mixed_model(scores), reliability(scores, rng))
        notes += _notes(scores, len(means), declared)
    mixed = results[1]
    return Analysis(
        studies=tuple(sorted({row.study for row in ratings})),
        n_simulated=sum(row.state == SIMULATED for row in ratings),
        declared=declared,
        screened=screened,
        all_scores=all_scores,
        published=published_statistics(all_scores),
        scores=scores,
        friedman=results[0],
        pairs=pairs,
        mixed=mixed,
        reliability=results[2],
        power=_power(mixed, scores, declared, rng),
        notes=(*notes, *(found for found in results if isinstance(found, str))),
    )


def _kept(screened: Screened) -> Scores | None:
    if len({row.system for row in screened.ratings}) < 2:
        return None
    return Scores.of(screened.ratings)


def _pairs(scores: Scores, declared: Declared, rng: np.random.Generator) -> tuple[Pair, ...]:
    differences = scores.differences()
    counts = bootstrap_counts(len(scores.listeners), rng)
    p = sign_flip_p(differences, rng)
    p_holm = holm(p)
    same = [
        equivalence(column, margin=declared.equivalence_margin, alpha=declared.alpha)
        for column in differences.T
    ]
    p_same_holm = holm(np.array([test.p for test in same]))
    columns = zip(
        scores.pairs,
        mean_intervals(differences, counts),
        standardised_intervals(differences, counts),
        superiority_intervals(scores.cells(), scores.pairs, counts),
        p.tolist(),
        p_holm.tolist(),
        same,
        p_same_holm.tolist(),
        strict=True,
    )
    return tuple(
        Pair(
            scores.systems[pair[0]],
            scores.systems[pair[1]],
            test.n_listeners,
            difference,
            d_z,
            superiority,
            p_pair,
            p_pair_holm,
            test,
            p_same,
            verdict(p_pair_holm, p_same, declared.alpha),
        )
        for pair, difference, d_z, superiority, p_pair, p_pair_holm, test, p_same in columns
    )


def verdict(p_different: float, p_same: float, alpha: float) -> Verdict:
    """What two corrected p show.

    >>> str(verdict(0.9, 0.2, 0.05)), str(verdict(0.9, 0.01, 0.05))
    ('open', 'same within the margin')
    """
    if p_same < alpha:
        return (
            Verdict.DIFFERENT_WITHIN_MARGIN if p_different < alpha else Verdict.SAME_WITHIN_MARGIN
        )
    return Verdict.DIFFERENT if p_different < alpha else Verdict.OPEN


def _notes(scores: Scores, n_complete: int, declared: Declared) -> list[str]:
    n_listeners, n_pairs = len(scores.listeners), len(scores.pairs)
    notes = []
    needed = listeners_needed(declared.alpha, n_pairs)
    if n_listeners < needed:
        notes.append(
            f"The paired tests cannot show a difference at {declared.alpha:g} over {n_pairs} pairs "
            f"with {n_listeners} listeners, however large it is: the smallest p of a sign-flip "
            f"test is {smallest_p(n_listeners):.2g}; it takes {needed} listeners"
        )
    if n_listeners < MIN_BOOTSTRAP_LISTENERS:
        notes.append(
            f"Intervals need {MIN_BOOTSTRAP_LISTENERS} listeners to resample; there are "
            f"{n_listeners}"
        )
    if n_listeners < MIN_LISTENERS:
        notes.append(
            f"The equivalence test needs {MIN_LISTENERS} listeners; there are {n_listeners}"
        )
    if declared.equivalence_margin is None:
        notes.append(
            "No equivalence margin was declared, so nothing can be said about sameness; declare "
            "one before the next study"
        )
    if n_complete < n_listeners:
        notes.append(
            f"{n_listeners - n_complete} of {n_listeners} listeners have no page on which every "
            "system is rated; Friedman's test leaves them out"
        )
    return notes


def _power(
    mixed: MixedModel | str, scores: Scores | None, declared: Declared, rng: np.random.Generator
) -> Power | str:
    if isinstance(mixed, str) or scores is None:
        return "The power of the next study is told from the mixed model, and there is none"
    if any(not math.isfinite(value) for value in mixed.components.values()):
        return "The power of the next study cannot be told: the mixed model has no finite variances"
    return study_power(
        effects_of(mixed.components),
        rng,
        n_items=len(scores.items),
        n_pairs=len(scores.pairs),
        margin=declared.equivalence_margin,
        alpha=declared.alpha,
    )
