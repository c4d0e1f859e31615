"""What a residual has in common with the microphones at later times.

What a reverberation of known impulse response would explain of a residual follows from sums of
products alone: of each microphone with the residual and of the microphones with each other, at the
lags at which it answers. They are gathered once; every reverberation tried costs little more.

Spectra are balanced for a scan, or a few loud tones would decide: residual and microphones are
each brought to an even spectrum. For a refinement every frequency is weighted by how little else is
in the residual there, as maximum likelihood asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize

DoubleArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
FloatArray = NDArray[np.float32]

LONGEST_PREDELAY_S = 0.1

_BANDS_AN_OCTAVE = 8
_LOWEST_HZ = 60.0
_RIDGE = 1e-3
"""Share of the microphones' mean energy that draws their gains to zero: a silent one gets none."""


@dataclass(frozen=True, eq=False)
class Correlations:
    """What microphones and residual have in common, at the lags at which a plate answers.

    Args:
        rate_hz: Rate of the lags in Hz: twice the highest frequency in them.
        n_fft: Length of the spectra's transform.
        length_s: Length of impulse response that they hold.
        source_hz: Rate of the audio that they come from, at which a plate's cuts run.
        crossed: Spectrum of each microphone with each channel of the residual
            (mics, 2, frequencies).
        among: Spectrum of each microphone with each other (mics, mics, frequencies).
        energy: Energy of the residual, weighted as the others are.
    """

    rate_hz: float
    n_fft: int
    length_s: float
    source_hz: int
    crossed: ComplexArray
    among: DoubleArray
    energy: float

    @property
    def frequencies_hz(self) -> DoubleArray:
        """Frequency of each bin of the spectra in Hz."""
        return np.arange(self.n_fft // 2 + 1, dtype=np.float64) * self.rate_hz / self.n_fft

    def best_predelay(self, spectra: ComplexArray) -> tuple[float, float, DoubleArray]:
        """The pre-delay at which a plate explains most.

        Args:
            spectra: Of the plate without pre-delay (2, frequencies).

        Returns:
            Share of the residual explained, the pre-delay in ms, each microphone's gain.
        """
        at_lags = fft.irfft(np.sum(np.conj(spectra) * self.crossed, axis=1), self.n_fft, axis=1)
        crossed = at_lags[:, : math.ceil(LONGEST_PREDELAY_S * self.rate_hz)]
        gains = np.asarray(np.linalg.solve(self._gram(spectra), crossed), dtype=np.float64)
        explained = np.sum(gains * crossed, axis=0)
        best = int(np.argmax(explained))
        return (
            float(explained[best]) / self.energy,
            1000.0 * best / self.rate_hz,
            gains[:, best],
        )

    def explained(self, spectra: ComplexArray) -> tuple[float, DoubleArray]:
        """Share of the residual that a plate explains, and each microphone's gain."""
        crossed = self._crossed(spectra)
        gains = np.asarray(np.linalg.solve(self._gram(spectra), crossed), dtype=np.float64)
        return float(gains @ crossed) / self.energy, gains

    def sends(self, spectra: ComplexArray) -> tuple[DoubleArray, float]:
        """The gains that explain most, none below zero, and the best one gain for all."""
        crossed, gram = self._crossed(spectra), self._gram(spectra)
        lower = np.linalg.cholesky(gram)
        gains, _ = optimize.nnls(lower.T, np.linalg.solve(lower, crossed))
        return np.asarray(gains, dtype=np.float64), max(0.0, float(np.sum(crossed) / np.sum(gram)))

    def _crossed(self, spectra: ComplexArray) -> DoubleArray:
        """What each microphone through a plate has in common with the residual."""
        together = np.einsum("cf,icf->if", np.conj(spectra), self.crossed)
        return np.asarray(np.real(together) @ self._both_sides() / self.n_fft)

    def _gram(self, spectra: ComplexArray) -> DoubleArray:
        power = np.sum(np.abs(spectra) ** 2, axis=0) * self._both_sides()
        gram: DoubleArray = self.among @ power / self.n_fft
        gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / gram.shape[0] + 1e-30
        return gram

    def _both_sides(self) -> DoubleArray:
        sides = np.full(self.n_fft // 2 + 1, 2.0)
        sides[0] = 1.0
        return sides


def correlate(
    monos: FloatArray,
    missing: NDArray[np.floating],
    rate_hz: int,
    *,
    top_hz: float,
    length_s: float,
    is_balanced: bool,
) -> Correlations:
    """Gather the correlations of microphones with what a mix has and they do not explain.

    Args:
        monos: Each microphone as a plate would hear it (mics, samples).
        missing: The residual (2, samples).
        rate_hz: Their rate.
        top_hz: Highest frequency that counts.
        length_s: Length of impulse response to look at.
        is_balanced: Bring both to an even spectrum, each by its own; else weight both by how
            little residual there is at a frequency.
    """
    n_long = fft.next_fast_len(
        monos.shape[1] + math.ceil((2.0 * length_s + LONGEST_PREDELAY_S) * rate_hz), real=True
    )
    n_bins = fft.next_fast_len(int(min(top_hz, 0.45 * rate_hz) / rate_hz * n_long), real=True)
    heard = fft.rfft(monos.astype(np.float32), n_long, axis=1)[:, :n_bins]
    left = fft.rfft(missing.astype(np.float32), n_long, axis=1)[:, :n_bins]
    bin_hz = rate_hz / n_long
    power: DoubleArray = np.sum(np.abs(left) ** 2, axis=0, dtype=np.float64)
    even = _edges_faded(n_bins, bin_hz) / _smooth(power, bin_hz)
    even_mics = even
    if is_balanced:
        mic_power: DoubleArray = np.sum(np.abs(heard) ** 2, axis=0, dtype=np.float64)
        even_mics = _edges_faded(n_bins, bin_hz) / _smooth(mic_power, bin_hz)
    rate = 2.0 * n_bins * bin_hz
    n_answer, n_lags = int(length_s * rate), int((length_s + LONGEST_PREDELAY_S) * rate)
    n_fft = fft.next_fast_len(n_lags + n_answer, real=True)
    n_mics = monos.shape[0]
    crossed = np.empty((n_mics, 2, n_fft // 2 + 1), np.complex128)
    among = np.empty((n_mics, n_mics, n_fft // 2 + 1))
    for mic in range(n_mics):
        weighted = np.sqrt(even * even_mics) * np.conj(heard[mic])
        lags = fft.irfft(weighted * left, 2 * n_bins, axis=1)[:, :n_lags]
        crossed[mic] = fft.rfft(lags, n_fft, axis=1)
        for other in range(mic + 1):
            lags = fft.irfft(even_mics * np.conj(heard[mic]) * heard[other], 2 * n_bins)
            both_ways = np.zeros(n_fft)
            both_ways[:n_answer] = lags[:n_answer]
            both_ways[-n_answer + 1 :] = lags[-n_answer + 1 :]
            # A plate's two ends meet at both signs of a lag: only the even part counts.
            among[mic, other] = among[other, mic] = fft.rfft(both_ways, n_fft).real
    energy = float(fft.irfft(even * power, 2 * n_bins)[0])
    return Correlations(rate, n_fft, length_s, rate_hz, crossed, among, energy + 1e-30)


def _edges_faded(n_bins: int, bin_hz: float) -> DoubleArray:
    """1 in the band, 0 below its lowest frequency and at its top."""
    frequencies = np.arange(n_bins) * bin_hz
    rise = np.clip(frequencies / _LOWEST_HZ - 1.0, 0.0, 1.0)
    return np.asarray(rise * np.clip((1.0 - frequencies / (n_bins * bin_hz)) / 0.05, 0.0, 1.0))


def _smooth(power: DoubleArray, bin_hz: float) -> DoubleArray:
    """Mean power in narrow bands, drawn through their centres in straight lines of log and log."""
    top_hz = power.size * bin_hz
    n_bands = max(2, round(_BANDS_AN_OCTAVE * math.log2(top_hz / _LOWEST_HZ)))
    edges_hz = np.concatenate([[0.0], np.geomspace(_LOWEST_HZ, top_hz, n_bands + 1)])
    edges = np.unique(np.round(edges_hz / bin_hz).astype(int))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    means = np.diff(sums[edges]) / np.diff(edges)
    centres = np.log(0.5 * (edges[:-1] + edges[1:]))
    floor = 1e-12 * float(np.max(means)) + 1e-30
    places = np.log(np.arange(power.size) + 1.0)
    return np.asarray(np.exp(np.interp(places, centres, np.log(np.maximum(means, floor)))))
