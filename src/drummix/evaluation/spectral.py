"""Distances between spectra: multi-resolution STFT, and the balance of octave bands.

In: float samples (channels, samples). Out: plain floats, or one number a band.
Memory beyond the padded signals does not grow with their length: spectra are made a few frames
at a time and never kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import fft, signal

from drummix.effects.checks import checked_rate, checked_samples
from drummix.errors import SettingError
from drummix.evaluation.checks import FloatArray, checked_pair


@dataclass(frozen=True)
class Resolution:
    """One short-time Fourier transform.

    Args:
        fft_samples: Length of the transform.
        hop_samples: Samples from frame to frame.
        window_samples: Length of the Hann window in the middle of a frame.
    """

    fft_samples: int
    hop_samples: int
    window_samples: int


RESOLUTIONS = (Resolution(1024, 120, 600), Resolution(2048, 240, 1200), Resolution(512, 50, 240))
"""Those of Yamamoto, Song and Kim, and of auraloss's `MultiResolutionSTFTLoss`."""

MIN_SAMPLES = 1 + max(resolution.fft_samples for resolution in RESOLUTIONS) // 2
"""Shortest signal whose ends can be mirrored by half a frame."""

_POWER_FLOOR = 1e-8
# Bins worked on at a time: what fits a core's own cache.
_BLOCK_BINS = 1 << 16

OCTAVE_CENTRES_HZ = tuple(1000.0 * 2.0**octave for octave in range(-5, 5))
"""Ten octaves, 31.25 Hz to 16 kHz; each reaches from its centre / sqrt(2) to centre * sqrt(2)."""

BALANCE_FLOOR_DB = -80.0
"""A band at or below this level, relative to all bands, counts as empty."""

BALANCE_FRAME = 16_384
"""Samples of a frame in which octave bands are measured."""


def mr_stft_distance(estimate: ArrayLike, target: ArrayLike) -> float:
    """Multi-resolution STFT distance of a mix from its reference.

    The mean over `RESOLUTIONS` of spectral convergence (Frobenius norm of the difference of the
    magnitudes over that of the target's, all channels and frames together) plus the mean absolute
    difference of the natural logarithms of the magnitudes.

    Args:
        estimate: The mix, (channels, samples), at least 1,025 samples.
        target: What it should be, the same shape.

    Returns:
        0 for equal signals; never NaN, for no magnitude counts as less than 1e-4: two silent
        signals have a distance of 0, a silent target gives a large one.

    Raises:
        SettingError: If the shapes differ, or the signals are too short.

    Source: Yamamoto, Song and Kim, ICASSP 2020, eqs. 4-6, with the defaults, the floor and the
        joint norm of auraloss 0.4 (Steinmetz and Reiss, 2020); equal to it within 1e-4.
    """
    return mr_stft_distances([estimate], target)[0]


def mr_stft_distances(estimates: Sequence[ArrayLike], target: ArrayLike) -> list[float]:
    """`mr_stft_distance` of several mixes from one reference, its spectra made only once."""
    pairs = [checked_pair(mix, target, min_samples=MIN_SAMPLES) for mix in estimates]
    if not pairs:
        return []
    mixes, reference = [mix for mix, _ in pairs], pairs[0][1]
    found = [_distances(mixes, reference, resolution) for resolution in RESOLUTIONS]
    return [float(distance) for distance in np.mean(found, axis=0)]


def sum_difference_mr_stft_distance(estimate: ArrayLike, target: ArrayLike) -> float:
    """`mr_stft_distance` of left plus right and of left minus right, averaged.

    It hears the stereo image as well as the sound. Where the target is mono its difference is
    silent, so that any width of the mix counts a lot.

    Args:
        estimate: The mix, (2, samples), at least 1,025 samples.
        target: What it should be, the same shape.

    Raises:
        SettingError: If the signals are not stereo, differ in shape, or are too short.

    Source: Steinmetz, Pons, Pascual and Serra, ICASSP 2021, eqs. 5-7; equal to auraloss 0.4's
        `SumAndDifferenceSTFTLoss` at the same resolutions.
    """
    mix, reference = checked_pair(estimate, target)
    if mix.shape[0] != 2:
        has = f"has {mix.shape[0]} channels"
        raise SettingError("estimate", mix.shape, "sum and difference take 2", problem=has)
    middle = mr_stft_distance(mix[:1] + mix[1:], reference[:1] + reference[1:])
    side = mr_stft_distance(mix[:1] - mix[1:], reference[:1] - reference[1:])
    return (middle + side) / 2.0


def _distances(
    mixes: Sequence[FloatArray], reference: FloatArray, resolution: Resolution
) -> NDArray[np.float64]:
    """Spectral convergence plus log-magnitude distance of each mix, at one resolution."""
    error_energy = np.zeros(len(mixes))
    log_error = np.zeros(len(mixes))
    target_energy, n_bins = 0.0, 0
    spectra = [_power_blocks(samples, resolution) for samples in (reference, *mixes)]
    for target_power, *mix_powers in zip(*spectra, strict=True):
        n_bins += target_power.size
        target_energy += float(np.sum(target_power))
        target_magnitude, target_log = np.sqrt(target_power), np.log(target_power)
        for number, power in enumerate(mix_powers):
            error = np.sqrt(power) - target_magnitude
            error_energy[number] += float(np.sum(np.square(error)))
            log_error[number] += 0.5 * float(np.sum(np.abs(np.log(power) - target_log)))
    return np.sqrt(error_energy) / math.sqrt(target_energy) + log_error / n_bins


def _power_blocks(samples: FloatArray, resolution: Resolution) -> Iterator[FloatArray]:
    """Floored power spectra of a few frames at a time, (frames, bins), channel after channel."""
    n_fft, n_window = resolution.fft_samples, resolution.window_samples
    window = signal.get_window("hann", n_window).astype(np.float32)
    # The window stands in the middle of a frame; the zeros around it change no magnitude.
    margin = (n_fft - n_window) // 2
    padded = np.pad(samples, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    n_block = max(1, _BLOCK_BINS // (n_fft // 2 + 1))
    n_frames = 1 + samples.shape[1] // resolution.hop_samples
    for channel in padded:
        frames = sliding_window_view(channel[margin:], n_window)[:: resolution.hop_samples]
        for start in range(0, n_frames, n_block):
            block = frames[start : min(start + n_block, n_frames)]
            spectrum = fft.rfft(block * window, n=n_fft)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            yield np.maximum(power, np.float32(_POWER_FLOOR))


def octave_band_levels_db(samples: ArrayLike, rate_hz: int) -> NDArray[np.float64]:
    """Level of each octave band relative to all ten together.

    Args:
        samples: Samples (channels, samples); the channels' powers are added up.
        rate_hz: Sample rate in Hz.

    Returns:
        dB, one value for each of `OCTAVE_CENTRES_HZ`, not below `BALANCE_FLOOR_DB`; NaN where
        there is no power in any band (silence). White noise rises by 3.01 dB an octave. At
        44.1 kHz the highest band ends at 22.05 instead of 22.63 kHz.
    """
    checked = checked_samples(samples)
    frequencies_hz, density = signal.welch(
        checked,
        checked_rate(rate_hz),
        nperseg=min(BALANCE_FRAME, checked.shape[1]),
        detrend=False,
    )
    power = octave_band_sums(frequencies_hz, np.sum(density, axis=0, dtype=np.float64), rate_hz)
    total = float(np.sum(power))
    if total <= 0.0:
        return np.full(len(OCTAVE_CENTRES_HZ), math.nan)
    floor = 10.0 ** (BALANCE_FLOOR_DB / 10.0)
    return np.asarray(10.0 * np.log10(np.maximum(power / total, floor)))


def octave_band_sums(
    frequencies_hz: NDArray[np.float64], density: NDArray[np.floating], rate_hz: int
) -> NDArray[np.float64]:
    """Sums of a spectral density over the octaves of `OCTAVE_CENTRES_HZ`.

    Args:
        frequencies_hz: Centre of every bin, (bins,).
        density: Values (..., bins), of one sign or of any.
        rate_hz: Sample rate in Hz.

    Returns:
        (..., bands), without the width of a bin as a factor.
    """
    step_hz = float(frequencies_hz[1]) if frequencies_hz.size > 1 else float(rate_hz)
    # A bin's power is spread evenly over its width, so that a band may begin inside a bin.
    edges_hz = np.append(frequencies_hz - step_hz / 2.0, frequencies_hz[-1] + step_hz / 2.0)
    rows = np.atleast_2d(np.asarray(density, dtype=np.float64))
    running = np.pad(np.cumsum(rows, axis=-1), ((0, 0), (1, 0)))
    low_hz = np.array(OCTAVE_CENTRES_HZ) / math.sqrt(2.0)
    sums = [
        np.interp(2.0 * low_hz, edges_hz, row) - np.interp(low_hz, edges_hz, row) for row in running
    ]
    return np.array(sums).reshape(*np.shape(density)[:-1], low_hz.size)


def octave_balance_error_db(estimate: ArrayLike, target: ArrayLike, rate_hz: int) -> float:
    """Mean absolute difference of the octave bands' levels; overall level does not matter.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.
        rate_hz: Sample rate in Hz of both.

    Returns:
        dB, over the bands that are not empty in both; NaN where either signal is silent.
    """
    mix, reference = checked_pair(estimate, target)
    return band_error_db(
        octave_band_levels_db(mix, rate_hz), octave_band_levels_db(reference, rate_hz)
    )


def band_error_db(mix_db: NDArray[np.float64], target_db: NDArray[np.float64]) -> float:
    """`octave_balance_error_db` of two results of `octave_band_levels_db`."""
    is_heard = np.maximum(mix_db, target_db) > BALANCE_FLOOR_DB
    if np.isnan(mix_db).any() or np.isnan(target_db).any() or not is_heard.any():
        return math.nan
    return float(np.mean(np.abs(mix_db - target_db)[is_heard]))
