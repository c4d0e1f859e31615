"""How much a mix rings: reverberation of a wet mix by its dry mix, and energy after single hits.

In: samples (channels, samples) and their rate. Out: levels in dB of three windows of time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, linalg, ndimage

from drummix import audio
from drummix.effects.checks import checked_rate, checked_samples
from drummix.evaluation.checks import checked_pair

WINDOWS_S = ((0.010, 0.050), (0.050, 0.100), (0.100, 0.200))
"""The windows after a hit whose energy is measured, seconds."""

DIRECT_S = 0.010
"""What comes sooner than this after a hit is its direct sound."""

_WORKING_RATE_HZ = 22_050
"""Reverberation is measured up to 11 kHz: plates and rooms have little above, coders nothing."""

_SMOOTHING_HZ = 200.0
_REGULARISATION = 1e-3

LOWEST_DB = -120.0
"""Level of a window with no energy at all."""


def added_reverb_db(dry: ArrayLike, wet: ArrayLike, rate_hz: int) -> tuple[float, ...]:
    """Energy of what was added to a dry mix, by the time that it comes after the direct sound.

    The response that best turns the dry mix into the wet one, from 10 ms before to 200 ms after,
    is fitted to each channel by least squares, every frequency counting alike. Its energy within
    10 ms of zero is the direct sound. A drum's own ring is in both mixes and plays no part, nor
    does a change of level; what compression changes from hit to hit averages out.

    Args:
        dry: Dry mix, (channels, samples).
        wet: Wet mix of the same session, the same shape.
        rate_hz: Sample rate in Hz of both.

    Returns:
        dB relative to the direct sound, one for each of `WINDOWS_S`, the channels' energies
        added; NaN where either mix is silent.

    Raises:
        SettingError: If the shapes differ.
    """
    mixes = checked_pair(dry, wet)
    if not (np.any(mixes[0]) and np.any(mixes[1])):
        return (math.nan,) * len(WINDOWS_S)
    source, mixed = (
        audio.resample(mix, checked_rate(rate_hz), _WORKING_RATE_HZ).astype(np.float64)
        for mix in mixes
    )
    responses = [_response(*pair) for pair in zip(source, mixed, strict=True) if np.any(pair[0])]
    n_before = round(DIRECT_S * _WORKING_RATE_HZ)
    energy = np.sum(np.square(responses), axis=0)
    return _window_levels_db(energy, n_before, _WORKING_RATE_HZ, n_direct_before=n_before)


def _response(source: NDArray[np.float64], mixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least-squares filter from one signal to another, `DIRECT_S` before zero included."""
    n_before = round(DIRECT_S * _WORKING_RATE_HZ)
    n_after = round(WINDOWS_S[-1][1] * _WORKING_RATE_HZ)
    # Room for the longest lag, so that the ends of the signals do not meet.
    n_fft = fft.next_fast_len(source.size + n_before + n_after, real=True)
    spectrum = fft.rfft(source, n_fft)
    power = np.square(np.abs(spectrum))
    # Divided by its own smooth spectrum the source is white: all frequencies count alike, where
    # the low end of a kick drum would outweigh everything.
    n_smooth = max(1, round(_SMOOTHING_HZ * n_fft / _WORKING_RATE_HZ))
    smooth = ndimage.uniform_filter1d(power, n_smooth, mode="nearest")
    weight = 1.0 / (smooth + 1e-12 * smooth.max())
    own = fft.irfft(power * weight, n_fft)[: n_before + n_after]
    own[0] *= 1.0 + _REGULARISATION
    cross = fft.irfft(np.conj(spectrum) * fft.rfft(mixed, n_fft) * weight, n_fft)
    return np.asarray(
        linalg.solve_toeplitz(own, np.concatenate([cross[n_fft - n_before :], cross[:n_after]]))
    )


def energy_after_hits_db(
    samples: ArrayLike, rate_hz: int, onsets_s: Sequence[float]
) -> tuple[float, ...]:
    """Energy of a mix after its hits relative to their first 10 ms, the drum's ring included.

    Energies are added over the hits before they are compared, so that loud hits count most.

    Args:
        samples: A mix, (channels, samples).
        rate_hz: Its rate in Hz.
        onsets_s: Times of the hits in seconds; those whose windows the mix does not hold in full
            are left out.

    Returns:
        dB, one for each of `WINDOWS_S`; NaN where there is no hit, or none sounds.
    """
    checked = checked_samples(samples)
    n_window = round(WINDOWS_S[-1][1] * checked_rate(rate_hz))
    starts = [round(time_s * rate_hz) for time_s in onsets_s]
    whole = [start for start in starts if 0 <= start <= checked.shape[1] - n_window]
    energy = np.zeros(n_window)
    for start in whole:
        energy += np.sum(np.square(checked[:, start : start + n_window], dtype=np.float64), axis=0)
    return _window_levels_db(energy, 0, rate_hz, n_direct_before=0)


def _window_levels_db(
    energy: NDArray[np.float64], zero: int, rate_hz: int, *, n_direct_before: int
) -> tuple[float, ...]:
    """Energy in each window relative to the direct sound around sample `zero`."""
    direct = float(np.sum(energy[zero - n_direct_before : zero + round(DIRECT_S * rate_hz)]))
    if direct <= 0.0:
        return (math.nan,) * len(WINDOWS_S)
    floor = 10.0 ** (LOWEST_DB / 10.0)
    return tuple(
        10.0
        * math.log10(
            max(
                float(np.sum(energy[zero + round(a * rate_hz) : zero + round(b * rate_hz)]))
                / direct,
                floor,
            )
        )
        for a, b in WINDOWS_S
    )
