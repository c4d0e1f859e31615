"""Timbre, frame by frame: spectral centroid, bandwidth, roll-off, flatness, contrast, mel bands.

In: float samples (channels, samples) and their rate. Out: `Timbre`, a value a frame, and
differences between two of them.

Conventions. Frames of 2,048 samples every 512, Hann, centred, zeros beyond the ends; the channels'
powers are averaged in every bin, so that nothing cancels. For one channel every feature equals
librosa 0.11's of the same name with its defaults. Comparisons use only frames in which the
reference is within `ACTIVE_RANGE_DB` of its loudest: what lies between the hits has no timbre.

Source: definitions as in librosa (McFee et al., SciPy 2015); contrast after Jiang et al., ICME
2002; mel scale and triangles after Slaney's Auditory Toolbox, 1998.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import fft, signal

from drummix.effects.checks import checked_rate, checked_samples

Values = NDArray[np.float64]

FFT_SAMPLES = 2048
HOP_SAMPLES = 512
N_MELS = 128
ROLLOFF_SHARE = 0.85
CONTRAST_BANDS = 6
CONTRAST_LOWEST_HZ = 200.0
CONTRAST_SHARE = 0.02

ACTIVE_RANGE_DB = 60.0
"""Frames of the reference more than this below its loudest are left out of comparisons."""

MEL_RANGE_DB = 80.0
"""Mel bands count as no lower than this below the reference's highest."""

_POWER_FLOOR = 1e-10
_BLOCK_FRAMES = 512


@dataclass(frozen=True, eq=False)
class Timbre:
    """Features of every frame; NaN for those that a silent frame has not.

    Args:
        centroid_hz: Mean frequency, weighted by magnitude, (frames,).
        bandwidth_hz: Standard deviation about it, weighted by magnitude.
        rolloff_hz: Frequency below which 85% of the magnitudes' sum lies.
        flatness: Geometric over arithmetic mean of the powers, 0 to 1.
        contrast_db: Peak over valley of seven bands, (7, frames), from 0-200 Hz to the top.
        mel_power: Power of 128 mel bands, (128, frames).
        power: Power of the frame.
    """

    centroid_hz: Values
    bandwidth_hz: Values
    rolloff_hz: Values
    flatness: Values
    contrast_db: Values
    mel_power: NDArray[np.float32]
    power: Values

    def is_active(self) -> NDArray[np.bool_]:
        """Which frames are within `ACTIVE_RANGE_DB` of the loudest; none of silence."""
        floor = float(self.power.max(initial=0.0)) * 10.0 ** (-ACTIVE_RANGE_DB / 10.0)
        return np.asarray((self.power > 0.0) & (self.power >= floor))


def timbre(samples: ArrayLike, rate_hz: int) -> Timbre:
    """Features of every frame of a signal.

    Args:
        samples: Samples (channels, samples).
        rate_hz: Sample rate in Hz; 12.8 kHz or more for all bands of the contrast to exist.
    """
    checked, rate_hz = checked_samples(samples), checked_rate(rate_hz)
    frequencies_hz: Values = np.fft.rfftfreq(FFT_SAMPLES, 1.0 / rate_hz).astype(np.float64)
    bands = _contrast_bands(rate_hz)
    mels = mel_filters(rate_hz)
    blocks = [_features(power, frequencies_hz, bands, mels) for power in _power_blocks(checked)]
    joined = [np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True)]
    centroid_hz, bandwidth_hz, rolloff_hz, flatness, peaks, valleys, mel_power, power = joined
    return Timbre(
        centroid_hz, bandwidth_hz, rolloff_hz, flatness,
        _to_db(peaks) - _to_db(valleys), mel_power.astype(np.float32), power,
    )  # fmt: skip


def timbre_differences(mix: Timbre, reference: Timbre) -> dict[str, float]:
    """Mix minus reference, each feature averaged over the frames where the reference sounds.

    Args:
        mix: Features of the mix.
        reference: Features of what it should be, as many frames.

    Returns:
        ``centroid_difference_hz``, ``bandwidth_difference_hz``, ``rolloff_difference_hz``,
        ``flatness_difference_db``, ``contrast_difference_db`` and ``log_mel_distance_db`` (a mean
        absolute difference, the only one that depends on level). NaN where either is silent.
    """
    active = reference.is_active() & (mix.power > 0.0)

    def difference(of_mix: Values, of_reference: Values) -> float:
        return float(np.mean((of_mix - of_reference)[..., active])) if active.any() else math.nan

    return {
        "centroid_difference_hz": difference(mix.centroid_hz, reference.centroid_hz),
        "bandwidth_difference_hz": difference(mix.bandwidth_hz, reference.bandwidth_hz),
        "rolloff_difference_hz": difference(mix.rolloff_hz, reference.rolloff_hz),
        "flatness_difference_db": difference(
            10.0 * np.log10(mix.flatness), 10.0 * np.log10(reference.flatness)
        ),
        "contrast_difference_db": difference(mix.contrast_db, reference.contrast_db),
        "log_mel_distance_db": _log_mel_distance_db(mix, reference),
    }


def _log_mel_distance_db(mix: Timbre, reference: Timbre) -> float:
    active = reference.is_active()
    if not active.any() or not np.any(mix.power):
        return math.nan
    floor = float(reference.mel_power.max()) * 10.0 ** (-MEL_RANGE_DB / 10.0)
    in_db = [
        10.0 * np.log10(np.maximum(each.mel_power[:, active], floor)) for each in (mix, reference)
    ]
    return float(np.mean(np.abs(in_db[0] - in_db[1])))


@functools.cache
def mel_filters(rate_hz: int, *, n_fft: int = FFT_SAMPLES, n_mels: int = N_MELS) -> Values:
    """Triangles of unit area, equally spaced on Slaney's mel scale, (mels, bins)."""
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(rate_hz / 2.0), n_mels + 2))
    frequencies_hz = np.fft.rfftfreq(n_fft, 1.0 / rate_hz)
    rising = (frequencies_hz - edges_hz[:-2, np.newaxis]) / np.diff(edges_hz)[:-1, np.newaxis]
    falling = (edges_hz[2:, np.newaxis] - frequencies_hz) / np.diff(edges_hz)[1:, np.newaxis]
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * area[:, np.newaxis])


# Slaney's scale: linear below 1 kHz (15 mels), then 27 steps for every factor of 6.4.
_LINEAR_HZ = 200.0 / 3.0
_LOG_STEP = math.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < 1000.0 else 15.0 + math.log(hz / 1000.0) / _LOG_STEP


def _mel_to_hz(mel: Values) -> Values:
    return np.where(mel < 15.0, mel * _LINEAR_HZ, 1000.0 * np.exp(_LOG_STEP * (mel - 15.0)))


def _power_blocks(samples: NDArray[np.float32]) -> Iterator[Values]:
    """Power of some frames at a time, mean over the channels, (bins, frames)."""
    window = signal.get_window("hann", FFT_SAMPLES).astype(np.float32)
    half = FFT_SAMPLES // 2
    padded = np.pad(samples, ((0, 0), (half, half)))
    frames = sliding_window_view(padded, FFT_SAMPLES, axis=1)[:, ::HOP_SAMPLES]
    for start in range(0, frames.shape[1], _BLOCK_FRAMES):
        spectrum = fft.rfft(frames[:, start : start + _BLOCK_FRAMES] * window)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        yield np.asarray(np.mean(power, axis=0, dtype=np.float64)).T


def _features(
    power: Values, frequencies_hz: Values, bands: list[tuple[int, int, int]], mels: Values
) -> tuple[Values, ...]:
    magnitude = np.sqrt(power)
    total = magnitude.sum(axis=0)
    with np.errstate(invalid="ignore"):
        # A silent frame has no centroid: 0 / 0 is NaN.
        share = magnitude / total
    centroid_hz = frequencies_hz @ share
    spread = np.square(frequencies_hz[:, np.newaxis] - centroid_hz)
    reached = np.cumsum(magnitude, axis=0) >= ROLLOFF_SHARE * total
    rolloff_hz = np.where(total > 0.0, frequencies_hz[np.argmax(reached, axis=0)], math.nan)
    floored = np.maximum(power, _POWER_FLOOR)
    flatness = np.exp(np.mean(np.log(floored), axis=0)) / np.mean(floored, axis=0)
    peaks, valleys = [], []
    for first, last, n_taken in bands:
        ordered = np.sort(magnitude[first:last], axis=0)
        valleys.append(ordered[:n_taken].mean(axis=0))
        peaks.append(ordered[-n_taken:].mean(axis=0))
    return (
        centroid_hz, np.sqrt(np.sum(share * spread, axis=0)), rolloff_hz, flatness,
        np.array(peaks), np.array(valleys), mels @ power, power.sum(axis=0),
    )  # fmt: skip


def _contrast_bands(rate_hz: int) -> list[tuple[int, int, int]]:
    """First bin, last bin + 1, and how many bins make a peak or a valley, of every band."""
    frequencies_hz = np.fft.rfftfreq(FFT_SAMPLES, 1.0 / rate_hz)
    edges_hz = [0.0, *(CONTRAST_LOWEST_HZ * 2.0**n for n in range(CONTRAST_BANDS + 1))]
    bands = []
    for number, (low_hz, high_hz) in enumerate(itertools.pairwise(edges_hz)):
        inside = np.flatnonzero((frequencies_hz >= low_hz) & (frequencies_hz <= high_hz))
        if inside.size < 2:
            continue
        is_last = number == CONTRAST_BANDS
        first = int(inside[0]) - (1 if number else 0)
        last = frequencies_hz.size if is_last else int(inside[-1]) + 1
        n_taken = max(1, int(np.rint(CONTRAST_SHARE * (last - first))))
        # All bands but the highest leave their last bin to the next one.
        bands.append((first, last if is_last else last - 1, n_taken))
    return bands


def _to_db(magnitude: Values) -> Values:
    """As librosa converts the contrast: floor 1e-10, and 80 dB below the highest value."""
    level_db = 10.0 * np.log10(np.maximum(magnitude, _POWER_FLOOR))
    return np.maximum(level_db, level_db.max(initial=-math.inf) - 80.0)
