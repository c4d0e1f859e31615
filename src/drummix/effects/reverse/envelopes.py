"""Gains that move slowly: straight lines between knots, by least squares.

The unknowns are every stem's gains at knots a fixed time apart. The squared error of the mix plus a
weight on the steps from knot to knot makes block-tridiagonal equations, which are solved as a band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from drummix.effects.reverse.equations import DoubleArray
from drummix.effects.reverse.fitting import Pairs
from drummix.effects.reverse.solving import RIDGE, SILENCE_POWER
from drummix.errors import SettingError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GainEnvelopes:
    """Gains over time.

    Args:
        knots: Linear gains (knots, channels, stems), float64.
        knot_samples: Samples from knot to knot; the first is at sample 0.
        explained_share: 1 minus residual energy over the mix's energy; NaN for a silent mix.
    """

    knots: DoubleArray
    knot_samples: int
    explained_share: float

    def mix(self, stems: NDArray[np.floating], start: int = 0) -> FloatArray:
        """Mix stems (stems, samples) whose first sample is number `start`.

        Raises:
            SettingError: If they reach beyond the last knot.
        """
        n_samples = stems.shape[1]
        place = (start + np.arange(n_samples)) / self.knot_samples
        if n_samples and place[-1] > self.knots.shape[0] - 1:
            last = (self.knots.shape[0] - 1) * self.knot_samples
            beyond = f"ends at sample {start + n_samples - 1}, beyond the last knot, at {last}"
            raise SettingError("n_samples", n_samples, "give what was fitted", problem=beyond)
        times = np.arange(self.knots.shape[0])
        mixed = np.zeros((self.knots.shape[1], n_samples))
        for channel in range(mixed.shape[0]):
            for stem in range(stems.shape[0]):
                gain = np.interp(place, times, self.knots[:, channel, stem])
                mixed[channel] += gain * stems[stem]
        return mixed.astype(np.float32)


def fit_gain_envelopes(
    pairs: Pairs, *, knot_samples: int, smoothness: float = 0.1, ridge: float = RIDGE
) -> GainEnvelopes:
    """Fit gains that move in straight lines between knots.

    One pass; what is kept grows by 24 bytes a pair of stems and knot: 20 MB an hour for eight
    stems and four knots a second.

    Args:
        pairs: Stems and mix side by side, in blocks of any size.
        knot_samples: Samples from knot to knot, at least 1.
        smoothness: Weight of a step from knot to knot, beside a stem's mean energy a knot: 0 lets
            every knot follow its own audio, large values give static gains.
        ridge: Weight of the gains' own size, which decides where a stem is silent.

    Raises:
        SettingError: If there is no audio or an option is out of range.
    """
    if knot_samples < 1:
        raise SettingError("knot_samples", knot_samples, "use 1 or more")
    if not (math.isfinite(smoothness) and smoothness >= 0.0):
        raise SettingError("smoothness", smoothness, "use 0 or more")
    spans = _Spans(knot_samples)
    for stems, target in pairs:
        spans.add(stems, target)
    return spans.solve(smoothness, ridge)


class _Spans:
    """Sums of products between each two knots, weighted by how near each knot is."""

    def __init__(self, knot_samples: int) -> None:
        self._knot_samples = knot_samples
        self._n_seen = 0
        self._grams: list[DoubleArray] = []  # (3, stems, stems): early-early, early-late, late-late
        self._targets: list[DoubleArray] = []  # (2, stems, channels)
        self._target_energy = 0.0

    def add(self, stems: NDArray[np.floating], target: NDArray[np.floating]) -> None:
        if stems.shape[1] != target.shape[1]:
            unequal = f"are {stems.shape[1]} samples long and the target {target.shape[1]}"
            raise SettingError("stems", stems.shape, "give blocks of one length", problem=unequal)
        done = 0
        while done < stems.shape[1]:
            span, inside = divmod(self._n_seen, self._knot_samples)
            n_samples = min(self._knot_samples - inside, stems.shape[1] - done)
            part = slice(done, done + n_samples)
            self._add_part(span, inside, stems[:, part], target[:, part])
            done += n_samples
            self._n_seen += n_samples

    def _add_part(
        self,
        span: int,
        inside: int,
        stems: NDArray[np.floating],
        target: NDArray[np.floating],
    ) -> None:
        if span == len(self._grams):
            self._grams.append(np.zeros((3, stems.shape[0], stems.shape[0])))
            self._targets.append(np.zeros((2, stems.shape[0], target.shape[0])))
        late = (inside + np.arange(stems.shape[1])) / self._knot_samples
        early_stems, late_stems = (1.0 - late) * stems, late * stems
        mix = target.astype(np.float64)
        self._grams[span] += [
            early_stems @ early_stems.T,
            early_stems @ late_stems.T,
            late_stems @ late_stems.T,
        ]
        self._targets[span] += [early_stems @ mix.T, late_stems @ mix.T]
        self._target_energy += float(np.vdot(mix, mix))

    def solve(self, smoothness: float, ridge: float) -> GainEnvelopes:
        if not self._grams:
            raise SettingError(
                "pairs", (), "give at least one block", problem="hold no audio to fit gains to"
            )
        grams, targets = np.array(self._grams), np.array(self._targets)
        n_spans, _, n_stems, _ = grams.shape
        energy = np.einsum("ksii->i", grams[:, [0, 1, 1, 2]])
        is_heard = energy > SILENCE_POWER * self._n_seen
        scale = np.where(is_heard, 1.0 / np.sqrt(np.where(is_heard, energy, 1.0)), 0.0)
        grams = grams * np.outer(scale, scale)
        targets = targets * scale[:, np.newaxis]
        diagonal = np.zeros((n_spans + 1, n_stems, n_stems))
        diagonal[:-1] += grams[:, 0]
        diagonal[1:] += grams[:, 2]
        right = np.zeros((n_spans + 1, n_stems, targets.shape[3]))
        right[:-1] += targets[:, 0]
        right[1:] += targets[:, 1]
        # Scaled stems have energy 1 in all, so 1 / knots is what one knot has.
        step = smoothness / (n_spans + 1)
        neighbours = np.full(n_spans + 1, 2.0)
        neighbours[[0, -1]] = 1.0
        weights = (step * neighbours + (ridge + 1e-12) / (n_spans + 1))[:, np.newaxis]
        index = np.arange(n_stems)
        diagonal[:, index, index] += weights + np.where(is_heard, 0.0, 1.0)
        beside = grams[:, 1] - step * np.eye(n_stems)
        solved = _solve_tridiagonal(diagonal, beside, right)
        residual = self._target_energy - 2.0 * np.vdot(solved, right) + _form(solved, grams)
        share = 1.0 - residual / self._target_energy if self._target_energy > 0.0 else math.nan
        knots = (solved * scale[:, np.newaxis]).transpose(0, 2, 1)
        return GainEnvelopes(knots, self._knot_samples, float(share))


def _solve_tridiagonal(
    diagonal: DoubleArray, beside: DoubleArray, right: DoubleArray
) -> DoubleArray:
    """Solve symmetric block-tridiagonal equations as a band of width two blocks."""
    n_knots, n_stems, n_channels = right.shape
    size = n_knots * n_stems
    band = np.zeros((2 * n_stems, size))
    for row in range(n_stems):
        for column in range(n_stems):
            if row >= column:
                band[row - column, column::n_stems] = diagonal[:, row, column]
            # Knot k + 1 at `row` with knot k at `column`.
            below = n_stems + row - column
            band[below, column : size - n_stems : n_stems] = beside[:, column, row]
    solved = linalg.solveh_banded(band, right.reshape(size, n_channels), lower=True)
    return solved.reshape(n_knots, n_stems, n_channels)


def _form(knots: DoubleArray, grams: DoubleArray) -> float:
    """Energy of the mix that gains at the knots make."""
    early, late = knots[:-1], knots[1:]
    return float(
        np.einsum("kic,kij,kjc->", early, grams[:, 0], early)
        + 2.0 * np.einsum("kic,kij,kjc->", early, grams[:, 1], late)
        + np.einsum("kic,kij,kjc->", late, grams[:, 2], late)
    )
