"""Solving the equations: filters, what they explain, and how far each stem's can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from drummix.effects.reverse.equations import DoubleArray, Equations
from drummix.errors import SettingError

FloatArray = NDArray[np.float32]

RIDGE = 1e-9
"""Weight of the filters' own size, stems scaled to unit energy: twins share what they explain."""

SILENCE_POWER = 1e-12
"""Mean square of a stem (-120 dBFS RMS) below which it counts as silent and gets no filter."""

_RATIO_LIMIT_DB = 120.0


@dataclass(frozen=True)
class Score:
    """How well filters explain a mix.

    Args:
        explained_share: 1 minus residual energy over the mix's energy; below 0 where silence would
            have been closer, NaN for a silent mix.
        si_sdr_db: Scale-invariant signal-to-distortion ratio, all channels sharing one scale.
        channel_shares: `explained_share` of each channel.
    """

    explained_share: float
    si_sdr_db: float
    channel_shares: tuple[float, ...]


@dataclass(frozen=True)
class StemFit:
    """How far one stem's filters can be trusted.

    Args:
        is_silent: Whether it was dropped as silent.
        share: Energy of the stem through its filters, over that of the mix.
        own_share: What the residual would gain without it, the other stems refitted, over the
            energy of the mix: what it alone can explain.
        confidence: own / (own + residual energy), 0 to 1: 0 where other stems would do as well
            or its part drowns in what is left unexplained.
    """

    is_silent: bool
    share: float
    own_share: float
    confidence: float

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "is_silent": self.is_silent,
            "share": self.share,
            "own_share": self.own_share,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, eq=False)
class MixFit:
    """Filters from stems to the channels of a mix.

    Args:
        filters: (channels, stems, taps), float64; tap a acts on the sample a - `n_lead` back.
        n_lead: How many taps look ahead.
        score: How well they explain the mix that they were fitted to.
        stems: How far each stem's filters can be trusted.
        condition: Condition number (1-norm) of the equations, with the ridge, stems scaled to
            unit energy.
    """

    filters: DoubleArray
    n_lead: int
    score: Score
    stems: tuple[StemFit, ...]
    condition: float

    @property
    def n_taps(self) -> int:
        """Taps of each filter."""
        return int(self.filters.shape[2])

    @property
    def gains(self) -> DoubleArray:
        """Gain of each stem in each channel at 0 Hz and, for one tap, everywhere."""
        return self.filters.sum(axis=2)


def solve(
    equations: Equations,
    *,
    n_taps: int | None = None,
    n_lead: int | None = None,
    ridge: float = RIDGE,
    towards: DoubleArray | None = None,
    is_non_negative: bool = False,
) -> MixFit:
    """Find the filters with the smallest squared error over all channels.

    Args:
        equations: What was gathered.
        n_taps: Taps of each filter; None for as many as were gathered.
        n_lead: How many of them look ahead; None for as many as were gathered.
        ridge: Weight of the filters' distance from `towards`, for stems scaled to unit energy.
        towards: Filters (channels, stems, taps) to stay near where the audio says little; None
            for zeros.
        is_non_negative: Allow no gain below zero; for single taps.

    Returns:
        The fit. A silent stem gets zeros.

    Raises:
        SettingError: If an option is out of range or there is no audio.
    """
    n_taps = equations.n_taps if n_taps is None else n_taps
    n_lead = equations.n_lead if n_lead is None else n_lead
    if equations.n_samples == 0:
        raise SettingError("no audio to fit gains to; give at least one block")
    if not (math.isfinite(ridge) and ridge >= 0.0):
        raise SettingError(f"ridge is {ridge}; use 0 or more")
    if is_non_negative and n_taps > 1:
        raise SettingError(
            f"non-negative filters of {n_taps} taps; a filter's taps have signs: use 1 tap"
        )
    gram, with_target = equations.system(n_taps, n_lead)
    n_channels = with_target.shape[2]
    energy = equations.stem_energy
    heard = np.flatnonzero(energy > SILENCE_POWER * equations.n_samples)
    filters = np.zeros((n_channels, equations.n_stems, n_taps))
    if heard.size == 0:
        stems = tuple(StemFit(True, 0.0, 0.0, 0.0) for _ in energy)
        return MixFit(filters, n_lead, _score(equations, gram, with_target, filters), stems, 1.0)
    scale = 1.0 / np.sqrt(energy[heard])
    size = heard.size * n_taps
    scaled = gram[heard][:, :, heard] * scale[:, None, None, None] * scale[:, None]
    scaled = scaled.reshape(size, size)
    right = (with_target[heard] * scale[:, None, None]).reshape(size, n_channels)
    start = np.zeros((size, n_channels))
    if towards is not None:
        start = (towards[:, heard] / scale[:, None]).transpose(1, 2, 0).reshape(size, n_channels)
    factor, condition = _factor(scaled, ridge)
    right = right + ridge * start
    if is_non_negative:
        solved = _non_negative(factor, right)
    else:
        solved = linalg.cho_solve((factor, True), right, check_finite=False)
    blocks = solved.reshape(heard.size, n_taps, n_channels)
    filters[:, heard] = (blocks * scale[:, None, None]).transpose(2, 0, 1)
    found = _score(equations, gram, with_target, filters)
    own = np.zeros(energy.size)
    own[heard] = _own_energy(factor, blocks)
    stems = _trust(equations, gram, filters, own, set(heard.tolist()), found)
    return MixFit(filters, n_lead, found, stems, condition)


def score(equations: Equations, filters: DoubleArray, n_lead: int = 0) -> Score:
    """How well given filters explain the mix of some equations, such as a part left out of the fit.

    Args:
        equations: What was gathered.
        filters: (channels, stems, taps).
        n_lead: How many taps look ahead.
    """
    gram, with_target = equations.system(filters.shape[2], n_lead)
    return _score(equations, gram, with_target, filters)


def _factor(scaled: DoubleArray, ridge: float) -> tuple[DoubleArray, float]:
    """Cholesky factor of scaled + ridge, and the condition number.

    A ridge too small for what is all but singular is raised until the factor exists.
    """
    norm = float(np.abs(scaled).sum(axis=0).max())
    diagonal = np.arange(scaled.shape[0])
    weight = max(ridge, 1e-15 * norm)
    while True:
        with_ridge = scaled.copy()
        with_ridge[diagonal, diagonal] += weight
        try:
            factor = linalg.cholesky(with_ridge, lower=True, overwrite_a=True, check_finite=False)
            break
        except linalg.LinAlgError:
            weight *= 10.0
    inverse_condition, _ = linalg.lapack.dpocon(factor, norm + weight, uplo="L")
    return factor, 1.0 / max(float(inverse_condition), 1e-300)


def _non_negative(factor: DoubleArray, right: DoubleArray) -> DoubleArray:
    """With G = L L', the error is |L'x - L^-1 b| squared but for a constant."""
    reached = linalg.solve_triangular(factor, right, lower=True)
    return np.stack([optimize.nnls(factor.T, column)[0] for column in reached.T], axis=1)


def _own_energy(factor: DoubleArray, blocks: DoubleArray) -> DoubleArray:
    """H' [(G^-1) of its own block]^-1 h for each stem: what leaving it out would cost."""
    n_stems, n_taps, _ = blocks.shape
    inverse, _ = linalg.lapack.dtrtri(factor, lower=1)
    own = np.empty(n_stems)
    for stem in range(n_stems):
        columns = inverse[stem * n_taps :, stem * n_taps : (stem + 1) * n_taps]
        block = columns.T @ columns
        solved = linalg.solve(block, blocks[stem], assume_a="pos", check_finite=False)
        own[stem] = max(0.0, float(np.sum(blocks[stem] * solved)))
    return own


def _trust(
    equations: Equations,
    gram: DoubleArray,
    filters: DoubleArray,
    own: DoubleArray,
    heard: set[int],
    found: Score,
) -> tuple[StemFit, ...]:
    total = float(equations.target_energy.sum())
    residual = total * max(0.0, 1.0 - found.explained_share) if total > 0.0 else 0.0
    stems = []
    for index in range(equations.n_stems):
        if index not in heard or total == 0.0:
            stems.append(StemFit(index not in heard, 0.0, 0.0, 0.0))
            continue
        taps = filters[:, index]
        energy = float(np.einsum("ca,ab,cb->", taps, gram[index, :, index], taps))
        alone = float(own[index])
        # Rounding limits what a residual can be told from zero.
        confidence = alone / (alone + residual + 1e-12 * total)
        stems.append(StemFit(False, energy / total, alone / total, confidence))
    return tuple(stems)


def _score(
    equations: Equations, gram: DoubleArray, with_target: DoubleArray, filters: DoubleArray
) -> Score:
    size = filters.shape[1] * filters.shape[2]
    flat = filters.reshape(-1, size)
    matrix = gram.reshape(size, size)
    made = np.einsum("ci,ci->c", flat, flat @ matrix)
    crossed = np.einsum("ci,ic->c", flat, with_target.reshape(size, -1))
    target = equations.target_energy
    shares = [_explained(m - 2.0 * c, t) for m, c, t in zip(made, crossed, target, strict=True)]
    return Score(
        explained_share=_explained(float(np.sum(made - 2.0 * crossed)), float(target.sum())),
        si_sdr_db=_si_sdr_db(float(made.sum()), float(crossed.sum()), float(target.sum())),
        channel_shares=tuple(shares),
    )


def _explained(change: float, target: float) -> float:
    return -change / target if target > 0.0 else math.nan


def _si_sdr_db(made: float, crossed: float, target: float) -> float:
    """From |mix|^2, <mix, target> and |target|^2."""
    if target <= 0.0:
        return math.nan
    scaled = crossed**2 / target
    rest = made - scaled
    if scaled <= 0.0:
        return -_RATIO_LIMIT_DB
    if rest <= 0.0:
        return _RATIO_LIMIT_DB
    ratio_db = 10.0 * math.log10(scaled / rest)
    return min(max(ratio_db, -_RATIO_LIMIT_DB), _RATIO_LIMIT_DB)
