"""A mix as the filters alone would have made it, where something after them changed it."""

from __future__ import annotations

import numpy as np
from scipy import fft

from drummix.effects.reverse import MixFit
from drummix.matching.example import FloatArray, is_clipped
from drummix.matching.learning import Repair


class FilterMemory:
    """Filters running over blocks that come with the number of their first sample.

    The lead is taken from the block itself: its last `n_lead` samples look ahead to zeros, which
    the callers accept.
    """

    def __init__(self, fit: MixFit) -> None:
        self._fit = fit
        self._past = np.zeros((fit.filters.shape[1], fit.n_taps - 1))

    def __call__(self, stems: FloatArray) -> FloatArray:
        """What the filters make of the next stems (2, samples)."""
        n_taps, n_lead = self._fit.n_taps, self._fit.n_lead
        joined = np.concatenate([self._past, stems, np.zeros((stems.shape[0], n_lead))], axis=1)
        n_fft = fft.next_fast_len(joined.shape[1] + n_taps, real=True)
        heard = fft.rfft(joined, n_fft, axis=1)
        made = np.einsum("cif,if->cf", fft.rfft(self._fit.filters, n_fft, axis=2), heard)
        first = n_taps - 1 + n_lead
        mix = fft.irfft(made, n_fft, axis=1)[:, first : first + stems.shape[1]]
        self._past = joined[:, stems.shape[1] : stems.shape[1] + n_taps - 1]
        return mix.astype(np.float32)


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
