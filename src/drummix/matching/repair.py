"""A mix as the filters alone would have made it, where something after them changed it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.effects.reverse import MixFit
from drummix.matching.example import FloatArray, is_clipped
from drummix.matching.learning import Repair

ComplexArray = NDArray[np.complex128]


class FilterMemory:
    """Filters running over blocks that come with the number of their first sample.

    The lead is taken from the block itself: its last `n_lead` samples look ahead to zeros, which
    the callers accept.
    """

    def __init__(self, fit: MixFit) -> None:
        self._fit = fit
        self._past = np.zeros((fit.filters.shape[1], fit.n_taps - 1))

    def __call__(self, stems: FloatArray) -> FloatArray:
        """What the filters make of the next stems (channels, samples)."""
        heard, responses = self._spectra(stems)
        return self._samples(np.einsum("cif,if->cf", responses, heard), stems.shape[1])

    def with_monos(self, stems: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same, and of each microphone the mean of the channels (mics, samples)."""
        heard, responses = self._spectra(stems)
        mix = np.einsum("cif,if->cf", responses, heard)
        monos = responses.mean(axis=0) * heard
        return self._samples(mix, stems.shape[1]), self._samples(monos, stems.shape[1])

    def _spectra(self, stems: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Spectra of the stems, their past before them, and of the filters."""
        n_taps, n_samples = self._fit.n_taps, stems.shape[1]
        ahead = np.zeros((stems.shape[0], self._fit.n_lead))
        joined = np.concatenate([self._past, stems, ahead], axis=1)
        self._past = joined[:, n_samples : n_samples + n_taps - 1]
        n_fft = self._n_fft(n_samples)
        return fft.rfft(joined, n_fft, axis=1), fft.rfft(self._fit.filters, n_fft, axis=2)

    def _samples(self, spectra: ComplexArray, n_samples: int) -> FloatArray:
        first = self._fit.n_taps - 1 + self._fit.n_lead
        made = fft.irfft(spectra, self._n_fft(n_samples), axis=1)[:, first : first + n_samples]
        return np.asarray(made, dtype=np.float32)

    def _n_fft(self, n_samples: int) -> int:
        return int(
            fft.next_fast_len(n_samples + 2 * self._fit.n_taps + self._fit.n_lead, real=True)
        )


def unclipped(fit: MixFit, ceiling: float) -> Repair:
    """For a clipped mix: where the filters make more than the flat top, their sound is taken.

    A clipped sample says only that the mix was at least as loud as it.
    """
    memory = FilterMemory(fit)

    def repair(first: int, stems: FloatArray, mix: FloatArray) -> FloatArray:
        made = memory(stems)
        beyond = is_clipped(mix, ceiling) & (made * np.sign(mix) > np.abs(mix))
        return np.where(beyond, made, mix)

    return repair
