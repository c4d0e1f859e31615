"""The stereo image: how wide, how correlated and where, over all and in each octave.

In: float samples (2, samples) and their rate. Out: plain floats, or one number a band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

from drummix.effects.checks import checked_rate, checked_samples
from drummix.errors import SettingError
from drummix.evaluation.spectral import (
    BALANCE_FLOOR_DB,
    BALANCE_FRAME,
    octave_band_sums,
)

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StereoImage:
    """The image in every octave, 31.25 Hz to 16 kHz; NaN where a band is empty.

    Args:
        correlation: Correlation of left and right at lag zero, -1 to 1.
        panning: (R - L) / (R + L) of the powers: -1 left, 0 centre, 1 right.
    """

    correlation: Values
    panning: Values


def stereo_width(samples: ArrayLike) -> float:
    """Share of the difference of the channels in the power of the mix.

    Args:
        samples: A stereo signal (2, samples).

    Returns:
        |L - R|^2 / (|L - R|^2 + |L + R|^2): 0 for mono, 0.5 for independent channels or one
        silent one, 1 for opposite ones; NaN for silence.

    >>> stereo_width([[1.0, 0.0], [0.0, 1.0]])
    0.5
    """
    left, right = _stereo(samples)
    middle, side = left + right, left - right
    total = float(np.vdot(middle, middle) + np.vdot(side, side))
    return float(np.vdot(side, side)) / total if total > 0.0 else math.nan


def stereo_image(samples: ArrayLike, rate_hz: int) -> StereoImage:
    """Correlation and panning of every octave.

    Args:
        samples: A stereo signal (2, samples).
        rate_hz: Sample rate in Hz.

    Returns:
        One value an octave; NaN in bands at or below `BALANCE_FLOOR_DB`
        relative to all, and, for the correlation, where a channel has nothing.
    """
    stereo, rate_hz = _stereo(samples), checked_rate(rate_hz)
    frame = min(BALANCE_FRAME, stereo.shape[1])
    frequencies_hz, auto = signal.welch(stereo, rate_hz, nperseg=frame, detrend=False)
    _, cross = signal.csd(stereo[0], stereo[1], rate_hz, nperseg=frame, detrend=False)
    left, right, both = octave_band_sums(frequencies_hz, np.stack([*auto, cross.real]), rate_hz)
    power = left + right
    is_heard = power > power.sum() * 10.0 ** (BALANCE_FLOOR_DB / 10.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.clip(both / np.sqrt(left * right), -1.0, 1.0)
        panning = (right - left) / power
    correlation[~is_heard | (left <= 0.0) | (right <= 0.0)] = math.nan
    panning[~is_heard] = math.nan
    return StereoImage(correlation, panning)


def image_differences(mix: StereoImage, reference: StereoImage) -> dict[str, float]:
    """Mean absolute differences over the octaves that are heard in both.

    Returns:
        ``band_correlation_error`` and ``band_panning_error``, each 0 to 2; NaN where no band is
        heard in both.
    """
    return {
        "band_correlation_error": _mean_error(mix.correlation, reference.correlation),
        "band_panning_error": _mean_error(mix.panning, reference.panning),
    }


def _mean_error(mix: Values, reference: Values) -> float:
    error = np.abs(mix - reference)
    known = error[~np.isnan(error)]
    return float(np.mean(known)) if known.size else math.nan


def _stereo(samples: ArrayLike) -> Values:
    stereo = checked_samples(samples).astype(np.float64)
    if stereo.shape[0] != 2:
        has = f"has {stereo.shape[0]} channels"
        raise SettingError("samples", stereo.shape, "a stereo image takes 2", problem=has)
    return stereo
