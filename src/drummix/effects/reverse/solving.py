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
    ridge: float | DoubleArray = RIDGE,
    towards: DoubleArray | None = None,
    is_non_negative: bool = False,
) -> MixFit:
    """Find the filters with the smallest squared error over all channels.

    Args:
        equations: What was gathered.
        n_taps: Taps of each filter; None for as many as were gathered.
        n_lead: How many of them look ahead; None for as many as were gathered.
        ridge: Weight of the filters' distance from `towards`, for stems scaled to unit energy; one
            for all stems, or one for each (stems,).
        towards: Filters (channels, stems, taps) to stay near where the audio says little; None
            for zeros.
        is_non_negative: Allow no gain below zero; for single taps.

    Returns:
        The fit. A silent stem gets zeros.

    Raises:
        SettingError: If an option is out of range or there is no audio.
    """
    system = _System(equations, n_taps, n_lead, ridge)
    if is_non_negative and system.n_taps > 1:
        raise SettingError(
            "is_non_negative",
            True,
            "a filter's taps have signs: use 1 tap",
            problem=f"is asked of filters of {system.n_taps} taps",
        )
    filters = system.solve(towards, is_non_negative=is_non_negative)
    found = system.score(filters)
    trust = system.trust(filters, found)
    return MixFit(filters, system.n_lead, found, trust, system.condition())


def solve_filters(
    equations: Equations,
    *,
    n_taps: int,
    n_lead: int,
    ridge: float | DoubleArray = RIDGE,
    towards: DoubleArray | None = None,
) -> DoubleArray:
    """The filters of `solve` (channels, stems, taps) alone, in a third of the time."""
    return _System(equations, n_taps, n_lead, ridge).solve(towards, is_non_negative=False)


def score(equations: Equations, filters: DoubleArray, n_lead: int = 0) -> Score:
    """How well given filters explain the mix of some equations, such as a part left out of the fit.

    Args:
        equations: What was gathered.
        filters: (channels, stems, taps).
        n_lead: How many taps look ahead.
    """
    gram, with_target = equations.system(filters.shape[2], n_lead)
    return _score(equations, gram, with_target, filters)


class _System:
    """Equations whose stems are scaled to unit energy, without the silent ones."""

    def __init__(
        self,
        equations: Equations,
        n_taps: int | None,
        n_lead: int | None,
        ridge: float | DoubleArray,
    ) -> None:
        self.n_taps = equations.n_taps if n_taps is None else n_taps
        self.n_lead = equations.n_lead if n_lead is None else n_lead
        if equations.n_samples == 0:
            raise SettingError(
                "pairs", (), "give at least one block", problem="hold no audio to fit gains to"
            )
        weights = np.broadcast_to(np.asarray(ridge, dtype=np.float64), (equations.n_stems,))
        if not np.all(np.isfinite(weights) & (weights >= 0.0)):
            raise SettingError("ridge", ridge, "use 0 or more")
        self._equations = equations
        self._gram, self._with_target = equations.system(self.n_taps, self.n_lead)
        energy = equations.stem_energy
        self._heard = np.flatnonzero(energy > SILENCE_POWER * equations.n_samples)
        self._scale = 1.0 / np.sqrt(energy[self._heard])
        self._weight = np.repeat(weights[self._heard], self.n_taps)
        self._size = self._heard.size * self.n_taps
        self._n_channels = int(self._with_target.shape[2])
        self._factor: DoubleArray | None = None
        self._norm = 0.0

    def solve(self, towards: DoubleArray | None, *, is_non_negative: bool) -> DoubleArray:
        equations, scale = self._equations, self._scale
        filters = np.zeros((self._n_channels, equations.n_stems, self.n_taps))
        if self._heard.size == 0:
            return filters
        right = self._with_target[self._heard] * scale[:, None, None]
        right = right.reshape(self._size, self._n_channels)
        if towards is not None:
            start = (towards[:, self._heard] / scale[:, None]).transpose(1, 2, 0)
            right = right + self._weight[:, None] * start.reshape(right.shape)
        factor = self._factored()
        if is_non_negative:
            solved = _non_negative(factor, right)
        else:
            solved = linalg.cho_solve((factor, True), right, check_finite=False)
        blocks = solved.reshape(self._heard.size, self.n_taps, self._n_channels)
        filters[:, self._heard] = (blocks * scale[:, None, None]).transpose(2, 0, 1)
        return filters

    def score(self, filters: DoubleArray) -> Score:
        return _score(self._equations, self._gram, self._with_target, filters)

    def condition(self) -> float:
        if self._heard.size == 0:
            return 1.0
        inverse, _ = linalg.lapack.dpocon(self._factored(), self._norm, uplo="L")
        return 1.0 / max(float(inverse), 1e-300)

    def trust(self, filters: DoubleArray, found: Score) -> tuple[StemFit, ...]:
        total = float(self._equations.target_energy.sum())
        stems = [StemFit(True, 0.0, 0.0, 0.0)] * self._equations.n_stems
        if total <= 0.0 or self._heard.size == 0:
            for index in self._heard:
                stems[index] = StemFit(False, 0.0, 0.0, 0.0)
            return tuple(stems)
        residual = total * max(0.0, 1.0 - found.explained_share)
        blocks = filters[:, self._heard].transpose(1, 2, 0) / self._scale[:, None, None]
        own = _own_energy(self._factored(), blocks)
        for index, alone in zip(self._heard, own, strict=True):
            taps = filters[:, index]
            energy = float(np.einsum("ca,ab,cb->", taps, self._gram[index, :, index], taps))
            # Rounding limits what a residual can be told from zero.
            confidence = alone / (alone + residual + 1e-12 * total)
            stems[index] = StemFit(False, energy / total, alone / total, float(confidence))
        return tuple(stems)

    def _factored(self) -> DoubleArray:
        """Cholesky factor of the scaled equations with their ridge.

        A ridge too small for what is all but singular is raised until the factor exists.
        """
        if self._factor is None:
            heard, scale = self._heard, self._scale
            scaled = self._gram[heard][:, :, heard] * scale[:, None, None, None] * scale[:, None]
            scaled = scaled.reshape(self._size, self._size)
            diagonal = np.arange(self._size)
            least = 1e-15 * float(np.abs(scaled).sum(axis=0).max())
            while self._factor is None:
                with_ridge = scaled.copy()
                with_ridge[diagonal, diagonal] += np.maximum(self._weight, least)
                self._norm = float(np.abs(with_ridge).sum(axis=0).max())
                try:
                    self._factor = linalg.cholesky(
                        with_ridge, lower=True, overwrite_a=True, check_finite=False
                    )
                except linalg.LinAlgError:
                    least *= 10.0
        return self._factor


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
        si_sdr_db=si_sdr_of_products(float(made.sum()), float(crossed.sum()), float(target.sum())),
        channel_shares=tuple(shares),
    )


def _explained(change: float, target: float) -> float:
    return -change / target if target > 0.0 else math.nan


def si_sdr_of_products(made: float, crossed: float, target: float) -> float:
    """SI-SDR in dB from |mix|^2, <mix, target> and |target|^2, within +-120 dB.

    >>> round(si_sdr_of_products(1.01, 1.0, 1.0), 6)
    20.0
    """
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
