"""The best mix that fixed gains can make: an oracle, for it has seen the target.

In: the stems of a session and the mix they should become. Out: one gain from every stem to every
channel of the target, by least squares, and the mix they make. No static mixer, whatever it
knows, comes closer in SDR or SI-SDR; a system that does must have done more than set levels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.effects.reverse import fit_gains

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StaticGains:
    """Fixed gains from stems to the channels of a mix.

    Args:
        matrix: Linear gains (channels, stems), float64; negative where the polarity is turned.
        is_silent: For each stem, whether it was left out as silent.
    """

    matrix: NDArray[np.float64]
    is_silent: tuple[bool, ...]

    def mix(self, stems: NDArray[np.floating]) -> FloatArray:
        """Mix stems (stems, samples) into (channels, samples)."""
        return np.asarray(self.matrix @ stems, dtype=np.float32)


def fit_static_gains(
    pairs: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]],
) -> StaticGains:
    """Fit the gains that bring stems closest to a target, in one pass over the audio.

    Only the sums of the normal equations are kept, so memory does not grow with the audio.

    Args:
        pairs: Blocks of the stems (stems, samples) with the target's (channels, samples) beside
            them, in any block size.

    Returns:
        The gains with the smallest squared error over all channels, but for a ridge of 1e-9 that
        keeps them finite where two stems are equal.

    Raises:
        SettingError: If there is no block, or a block and its target differ in length.
    """
    fit = fit_gains(pairs)
    return StaticGains(fit.gains, tuple(stem.is_silent for stem in fit.stems))
