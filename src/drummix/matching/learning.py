"""Learning the filters: as few taps as do it, tested on the half they were not fitted to.

The matching part is cut into pieces that go by turns to two halves. Filters of growing length are
fitted to each half and tried on the other; the shortest that comes within a quarter of a dB of the
best is taken, and fitted to both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.effects.reverse import (
    Equations,
    EquationStream,
    MixFit,
    Score,
    score,
    solve,
    solve_filters,
)
from drummix.gain_staging import TOM_ROLES, StagedStem
from drummix.matching.example import Example

DoubleArray = NDArray[np.float64]
FloatArray = NDArray[np.float32]

Repair = Callable[[int, FloatArray, FloatArray], FloatArray]
"""Number of the first sample, stems and mix to the mix that the filters alone should make."""

TAPS = (1, 8, 32, 64, 128, 256, 512, 1024)
RIDGES = (1e-8, 1e-5)
MAX_LEAD = 16
SURE = 0.5
"""A microphone whose confidence is below this may have been heard through others."""

_N_PIECES = 8
_NEAR_DB = 0.25
_WAITS_FOR_DB = 0.1


@dataclass(frozen=True, eq=False)
class LearnedFilters:
    """Filters and how they were chosen.

    Args:
        fit: The filters, fitted to all of the matching part.
        is_learned: For each stem, whether the mix told how it is treated.
        held_out: Scores of the filters of each half on the other half.
        static: Score of the best static gains on all of it.
        ridge: The ridge chosen.
        equations: Of both halves together.
    """

    fit: MixFit
    is_learned: tuple[bool, ...]
    held_out: tuple[Score, Score]
    static: Score
    ridge: float
    equations: Equations

    @property
    def held_out_residual(self) -> float:
        """Mean share of the mix's energy that is left unexplained on the other half."""
        return float(np.mean([1.0 - found.explained_share for found in self.held_out]))


def lead_of(n_taps: int) -> int:
    """How many of a filter's taps look ahead: a quarter, at most `MAX_LEAD`."""
    return min(n_taps // 4, MAX_LEAD)


def piece_edges(start: int, stop: int) -> tuple[int, ...]:
    """Where the pieces of the two halves begin; even ones are the first half's."""
    return tuple(start + (stop - start) * piece // _N_PIECES for piece in range(_N_PIECES))


def gather_halves(
    example: Example, part: tuple[int, int], n_taps: int, repair: Repair | None = None
) -> tuple[Equations, Equations]:
    """The equations of both halves of the matching part, in one pass."""
    start, stop = part
    edges = piece_edges(start, stop)
    stream = EquationStream(
        len(example.session.stems), 2, n_taps=n_taps, n_lead=lead_of(n_taps), n_folds=2
    )
    for first, stems, mix in example.pairs(start, stop, edges, n_after=lead_of(n_taps)):
        target = mix if repair is None else repair(first, stems, mix)
        piece = int(np.searchsorted(edges, first, side="right")) - 1
        stream.add(stems, target, fold=piece % 2 if start <= first < stop else None)
    first_half, second_half = stream.finish()
    return first_half, second_half


def choose_taps(
    halves: tuple[Equations, Equations], *, max_taps: int
) -> tuple[int, float, tuple[Score, Score]]:
    """The number of taps, the ridge, and how each half's filters do on the other."""
    tried: list[tuple[int, tuple[Score, Score]]] = []
    for n_taps in (taps for taps in TAPS if taps <= max_taps):
        tried.append((n_taps, _across(halves, n_taps, RIDGES[0])))
        residuals = [_residual(scores) for _, scores in tried]
        # Twice the taps for nothing, two times in a row: more will not help either.
        if len(tried) >= 4 and _gain_db(min(residuals[:-2]), min(residuals[-2:])) < _WAITS_FOR_DB:
            break
    best = min(_residual(scores) for _, scores in tried)
    n_taps, scores = next(
        entry for entry in tried if _gain_db(_residual(entry[1]), best) <= _NEAR_DB
    )
    ridge = RIDGES[0]
    for larger in RIDGES[1:]:
        with_larger = _across(halves, n_taps, larger)
        if _gain_db(_residual(with_larger), _residual(scores)) > _WAITS_FOR_DB / 2.0:
            break
        ridge, scores = larger, with_larger
    return n_taps, ridge, scores


def learn_filters(
    halves: tuple[Equations, Equations],
    staged: Sequence[StagedStem],
    chosen: tuple[int, float, tuple[Score, Score]],
) -> LearnedFilters:
    """Fit the filters to both halves.

    A tom that is never struck shows how the bleed in its microphone was treated. What a stroke
    would have got it shows only if the fit is sure of it; where it is not, it is not learned.
    """
    n_taps, ridge, scores = chosen
    both = halves[0] + halves[1]
    n_lead = lead_of(n_taps)
    static = solve(both, n_taps=1, n_lead=0)
    fit = solve(both, n_taps=n_taps, n_lead=n_lead, ridge=ridge)
    is_learned = tuple(
        not found.is_silent
        and not (stem.role in TOM_ROLES and stem.is_bleed and found.confidence < SURE)
        for stem, found in zip(staged, fit.stems, strict=True)
    )
    return LearnedFilters(fit, is_learned, scores, static.score, ridge, both)


def _across(halves: tuple[Equations, Equations], n_taps: int, ridge: float) -> tuple[Score, Score]:
    n_lead = lead_of(n_taps)
    first, second = (
        solve_filters(half, n_taps=n_taps, n_lead=n_lead, ridge=ridge) for half in halves
    )
    return score(halves[1], first, n_lead), score(halves[0], second, n_lead)


def _residual(scores: tuple[Score, Score]) -> float:
    return float(np.mean([1.0 - found.explained_share for found in scores])) + 1e-12


def _gain_db(before: float, after: float) -> float:
    return float(10.0 * np.log10(max(before, 1e-12) / max(after, 1e-12)))
