"""How far a mix is from the mix it should be, one number a question.

In: a mix (the estimate) and its reference (the target), float samples (channels, samples) of one
shape, and their rate where it matters. Out: plain floats.

Conventions. Nothing is level-matched here: use `level_matched` first where the question is not
about level. All channels are one signal: one scale, one sum. Silence (no sample but zeros) divides
nothing: where it leaves a metric without a value, the value is NaN, and each docstring says where.
Ratios in dB are cut at +-120 dB: beyond that they would measure the rounding of the samples.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drummix.effects.checks import checked_samples
from drummix.errors import SettingError
from drummix.evaluation.checks import checked_pair
from drummix.evaluation.spectral import (
    mr_stft_distance,
    octave_balance_error_db,
    octave_band_levels_db,
    sum_difference_mr_stft_distance,
)
from drummix.levels import crest_db, db_to_gain, integrated_lufs, true_peak_dbtp

__all__ = [
    "at_gain",
    "crest_difference_db",
    "dynamic_spread_db",
    "dynamic_spread_difference_db",
    "l1_relative",
    "left_right_correlation",
    "level_matched",
    "lufs_difference_db",
    "mr_stft_distance",
    "octave_balance_error_db",
    "octave_band_levels_db",
    "sdr_db",
    "si_sdr_by_channel_db",
    "si_sdr_db",
    "sum_difference_mr_stft_distance",
    "true_peak_difference_db",
]

FloatArray = NDArray[np.float32]

RATIO_LIMIT_DB = 120.0
"""Ratios of energies are cut at this and at its negative."""

SPREAD_FRAME_S = 0.05
SPREAD_RANGE_DB = 60.0
"""Frames further below the loudest one are rests and no dynamics."""


def si_sdr_db(estimate: ArrayLike, target: ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio, all channels sharing one scale.

    The target is scaled by alpha = <estimate, target> / <target, target>, sums over channels and
    samples; the ratio is the energy of the scaled target over that of what is left. One scale for
    all channels means that a wrong balance of left and right counts as distortion. No mean is
    removed.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.

    Returns:
        dB from -120 to 120; -120 for a silent mix, NaN for a silent target.

    Source: Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019,
        eq. 5; there for one channel.

    >>> si_sdr_db([[2.0, 2.0, 2.2, 1.8]], [[1.0, 1.0, 1.0, 1.0]])  # doctest: +ELLIPSIS
    23.01...
    """
    mix, reference = _in_double(estimate, target)
    target_energy = float(np.vdot(reference, reference))
    if target_energy == 0.0:
        return math.nan
    scaled = (float(np.vdot(mix, reference)) / target_energy) * reference
    return _ratio_db(_energy(scaled), _energy(mix - scaled))


def si_sdr_by_channel_db(estimate: ArrayLike, target: ArrayLike) -> tuple[float, ...]:
    """`si_sdr_db` of every channel alone, each with a scale of its own.

    A wrong balance of left and right is not heard here; `si_sdr_db` hears it.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.
    """
    mix, reference = checked_pair(estimate, target)
    return tuple(si_sdr_db(mix[n : n + 1], reference[n : n + 1]) for n in range(mix.shape[0]))


def sdr_db(estimate: ArrayLike, target: ArrayLike) -> float:
    """Signal-to-distortion ratio without any scaling: level errors count.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.

    Returns:
        Energy of the target over that of estimate minus target, dB from -120 to 120; 0 for a
        silent mix, NaN for a silent target.

    >>> round(sdr_db([[0.9, -0.9]], [[1.0, -1.0]]), 3)
    20.0
    """
    mix, reference = _in_double(estimate, target)
    if not np.any(reference):
        return math.nan
    return _ratio_db(_energy(reference), _energy(mix - reference))


def l1_relative(estimate: ArrayLike, target: ArrayLike) -> float:
    """Mean absolute error over the target's mean absolute value.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.

    Returns:
        0 or more; 1 for a silent mix, NaN for a silent target.

    >>> l1_relative([[0.5, -1.0]], [[1.0, -1.0]])
    0.25
    """
    mix, reference = _in_double(estimate, target)
    size = float(np.sum(np.abs(reference)))
    return float(np.sum(np.abs(mix - reference))) / size if size > 0.0 else math.nan


def lufs_difference_db(estimate: ArrayLike, target: ArrayLike, rate_hz: int) -> float:
    """Loudness of the mix minus that of its reference, in LU.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.
        rate_hz: Sample rate in Hz of both.

    Returns:
        LU; NaN where either has no loudness (silence, or shorter than 400 ms).
    """
    mix, reference = checked_pair(estimate, target)
    difference_db = integrated_lufs(mix, rate_hz) - integrated_lufs(reference, rate_hz)
    return difference_db if math.isfinite(difference_db) else math.nan


def true_peak_difference_db(estimate: ArrayLike, target: ArrayLike, rate_hz: int) -> float:
    """True peak (BS.1770) of the mix minus that of its reference.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.
        rate_hz: Sample rate in Hz of both.

    Returns:
        dB; NaN where either is silent.
    """
    mix, reference = checked_pair(estimate, target)
    if not (np.any(mix) and np.any(reference)):
        return math.nan
    return true_peak_dbtp(mix, rate_hz) - true_peak_dbtp(reference, rate_hz)


def level_matched(estimate: ArrayLike, target: ArrayLike, rate_hz: int) -> FloatArray:
    """The mix at the loudness of its reference, for metrics that are not about level.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.
        rate_hz: Sample rate in Hz of both.

    Returns:
        The mix times one gain, so that both have the same LUFS; as it was where either has no
        loudness.
    """
    mix, _ = checked_pair(estimate, target)
    return at_gain(mix, -lufs_difference_db(estimate, target, rate_hz))


def at_gain(samples: FloatArray, gain_db: float) -> FloatArray:
    """Samples turned up or down; as they were where the gain is NaN (no loudness to match)."""
    gain = 1.0 if math.isnan(gain_db) else db_to_gain(gain_db)
    return np.asarray(samples * np.float32(gain), dtype=np.float32)


def crest_difference_db(estimate: ArrayLike, target: ArrayLike) -> float:
    """Crest factor of the mix minus that of its reference, all channels together, in dB.

    A crest factor is peak level minus RMS level, both in dB (see `drummix.levels.crest_db`): a
    difference of levels, never a ratio of them.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.

    Returns:
        dB, negative where the mix is the more compressed; NaN where either is silent.
    """
    mix, reference = checked_pair(estimate, target)
    if not (np.any(mix) and np.any(reference)):
        return math.nan
    return crest_db(mix) - crest_db(reference)


def dynamic_spread_db(samples: ArrayLike, rate_hz: int) -> float:
    """How far the level strays: mean absolute deviation of 50 ms levels from their mean.

    Args:
        samples: Samples (channels, samples); the channels' powers are added up.
        rate_hz: Sample rate in Hz.

    Returns:
        dB, 0 for a steady tone; over the whole frames within 60 dB of the loudest, so that rests
        do not count. NaN for silence, or less than one frame.

    Source: Vickers, AES Convention 111, 2001, "dynamic spread" with exponent 1; the gate is ours.
    """
    checked = checked_samples(samples)
    n_frame = max(1, round(SPREAD_FRAME_S * rate_hz))
    n_frames = checked.shape[1] // n_frame
    frames = checked[:, : n_frames * n_frame].reshape(checked.shape[0], n_frames, n_frame)
    power = np.sum(np.square(frames, dtype=np.float64), axis=(0, 2))
    heard = power[power > power.max(initial=0.0) * 10.0 ** (-SPREAD_RANGE_DB / 10.0)]
    if heard.size == 0:
        return math.nan
    level_db = 10.0 * np.log10(heard)
    return float(np.mean(np.abs(level_db - np.mean(level_db))))


def dynamic_spread_difference_db(estimate: ArrayLike, target: ArrayLike, rate_hz: int) -> float:
    """`dynamic_spread_db` of the mix minus that of its reference; negative: less dynamic."""
    mix, reference = checked_pair(estimate, target)
    return dynamic_spread_db(mix, rate_hz) - dynamic_spread_db(reference, rate_hz)


def left_right_correlation(samples: ArrayLike) -> float:
    """Correlation of the two channels at lag zero, as a correlation meter shows it.

    Args:
        samples: A stereo signal (2, samples); no mean is removed.

    Returns:
        1 for mono, 0 for independent channels, -1 for opposite ones; NaN where a channel is
        silent.

    Raises:
        SettingError: If there are not two channels.

    >>> left_right_correlation([[1.0, 2.0], [2.0, 4.0]])
    1.0
    """
    stereo = checked_samples(samples).astype(np.float64)
    if stereo.shape[0] != 2:
        has = f"has {stereo.shape[0]} channels"
        raise SettingError("samples", stereo.shape, "left/right correlation takes 2", problem=has)
    left, right = stereo
    scale = math.sqrt(_energy(left) * _energy(right))
    return float(np.clip(np.vdot(left, right) / scale, -1.0, 1.0)) if scale > 0.0 else math.nan


def _in_double(
    estimate: ArrayLike, target: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A checked pair in double precision: sums over a whole song lose digits in float32."""
    mix, reference = checked_pair(estimate, target)
    return mix.astype(np.float64), reference.astype(np.float64)


def _energy(samples: NDArray[np.float64]) -> float:
    return float(np.vdot(samples, samples))


def _ratio_db(numerator: float, denominator: float) -> float:
    """Ratio of two energies in dB, within the limits; a silent numerator gives the lower one."""
    if numerator <= 0.0:
        return -RATIO_LIMIT_DB
    if denominator <= 0.0:
        return RATIO_LIMIT_DB
    ratio_db = 10.0 * (math.log10(numerator) - math.log10(denominator))
    return min(max(ratio_db, -RATIO_LIMIT_DB), RATIO_LIMIT_DB)
