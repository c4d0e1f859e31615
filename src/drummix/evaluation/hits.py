"""What happens at and after the hits: where they are, the error of their attacks, the reverb.

In: float samples (channels, samples) and their rate; the hits are found in the reference and are
the same for every mix. Out: times in samples, or plain floats.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage, signal

from drummix.effects.checks import checked_rate, checked_samples
from drummix.evaluation.checks import checked_pair
from drummix.evaluation.timbre import mel_filters

FloatArray = NDArray[np.float32]
Hits = NDArray[np.int64]

ATTACK_S = 0.03
"""Length of an attack, from the hit."""

DIRECT_S = 0.01
"""What counts as the direct sound after a hit."""

REVERB_WINDOWS_MS = ((10, 50), (50, 100), (100, 200))
"""Stretches after a hit whose energy is compared with that of the direct sound."""

_PRE_S = 0.001
_FRAME_SAMPLES = 1024
_HOP_S = 0.005
_BANDS = 40
_MIN_GAP_S = 0.03
_LOCAL_S = 0.1
_COMPRESSION = 1000.0
_RISE = 0.08
_CELL_S = 0.001
_LIMIT_DB = 120.0


def find_hits(samples: ArrayLike, rate_hz: int) -> Hits:
    """Where something is struck.

    Spectral flux: the rise of 40 mel bands, compressed, from a frame of 23 ms to the one 10 ms
    later; a hit is a peak that stands out from 200 ms around it and from 30 ms on either side.
    Its time is then moved to where the energy rises most, to 1 ms.

    Args:
        samples: Samples (channels, samples).
        rate_hz: Sample rate in Hz.

    Returns:
        First samples of the hits, rising; empty for silence. The level of the signal and its
        polarity do not matter.

    Source: Boeck and Widmer, DAFx 2013, without their maximum filter, for drums have no vibrato.
    """
    checked, rate_hz = checked_samples(samples), checked_rate(rate_hz)
    if checked.shape[1] < 2 * _FRAME_SAMPLES or not np.any(checked):
        return np.zeros(0, dtype=np.int64)
    hop = max(1, round(_HOP_S * rate_hz))
    bands = _compressed_bands(checked, rate_hz, hop)
    rise = np.zeros(bands.shape[1])
    rise[2:] = np.mean(np.maximum(bands[:, 2:] - bands[:, :-2], 0.0), axis=0)
    n_gap, n_local = round(_MIN_GAP_S / _HOP_S), round(_LOCAL_S / _HOP_S)
    is_peak = rise == ndimage.maximum_filter1d(rise, 2 * n_gap + 1)
    is_high = rise > ndimage.uniform_filter1d(rise, 2 * n_local + 1) + _RISE
    coarse = np.flatnonzero(is_peak & is_high) * hop
    return _refined(checked, coarse, rate_hz)


def attack_error_db(estimate: ArrayLike, target: ArrayLike, hits: Hits, rate_hz: int) -> float:
    """Error of the first 30 ms after the hits, relative to those of the reference.

    Args:
        estimate: The mix, (channels, samples), level-matched.
        target: What it should be, the same shape.
        hits: First samples of the hits.
        rate_hz: Sample rate in Hz of both.

    Returns:
        Median over the hits of the energy of mix minus target over that of the target, in dB from
        -120 to 120: lower is better, 0 for a silent mix. NaN where there is no hit.
    """
    mix, reference = checked_pair(estimate, target)
    n_attack = round(ATTACK_S * rate_hz)
    errors = _energies(mix - reference, hits, 0, n_attack)
    return _median_ratio_db(errors, _energies(reference, hits, 0, n_attack))


def attack_difference_db(estimate: ArrayLike, target: ArrayLike, hits: Hits, rate_hz: int) -> float:
    """Energy of the first 30 ms after the hits, mix over reference.

    Args:
        estimate: The mix, (channels, samples), level-matched.
        target: What it should be, the same shape.
        hits: First samples of the hits.
        rate_hz: Sample rate in Hz of both.

    Returns:
        Median over the hits in dB: negative where attacks are softer than they should be, as
        after too much compression. NaN where there is no hit.
    """
    mix, reference = checked_pair(estimate, target)
    n_attack = round(ATTACK_S * rate_hz)
    return _median_ratio_db(
        _energies(mix, hits, 0, n_attack), _energies(reference, hits, 0, n_attack)
    )


def reverb_levels_db(samples: ArrayLike, hits: Hits, rate_hz: int) -> tuple[float, ...]:
    """Energy after the hits relative to their direct sound (10 ms), per `REVERB_WINDOWS_MS`.

    Args:
        samples: Samples (channels, samples).
        hits: First samples of the hits.
        rate_hz: Sample rate in Hz.

    Returns:
        Medians in dB, over the hits that no other follows before the window's end; NaN where
        there is none.
    """
    checked = checked_samples(samples)
    following = np.append(hits[1:], checked.shape[1])
    levels = []
    for start_ms, stop_ms in REVERB_WINDOWS_MS:
        start, stop = (round(ms * rate_hz / 1000) for ms in (start_ms, stop_ms))
        alone = hits[following - hits >= stop]
        direct = _energies(checked, alone, 0, round(DIRECT_S * rate_hz))
        levels.append(_median_ratio_db(_energies(checked, alone, start, stop), direct))
    return tuple(levels)


def _compressed_bands(samples: FloatArray, rate_hz: int, hop: int) -> NDArray[np.float64]:
    """Logarithm of the magnitudes in mel bands, the loudest 1, (bands, frames)."""
    half = _FRAME_SAMPLES // 2
    padded = np.pad(samples, ((0, 0), (half, half)))
    window = signal.get_window("hann", _FRAME_SAMPLES).astype(np.float32)
    mels = mel_filters(rate_hz, n_fft=_FRAME_SAMPLES, n_mels=_BANDS)
    blocks = []
    frames = sliding_window_view(padded, _FRAME_SAMPLES, axis=1)[:, ::hop]
    for start in range(0, frames.shape[1], 1024):
        spectrum = fft.rfft(frames[:, start : start + 1024] * window)
        power = np.mean(np.square(spectrum.real) + np.square(spectrum.imag), axis=0)
        blocks.append(np.sqrt(mels @ power.T))
    bands = np.concatenate(blocks, axis=1)
    return np.asarray(np.log1p(_COMPRESSION * bands / bands.max()) / math.log1p(_COMPRESSION))


def _refined(samples: FloatArray, coarse: Hits, rate_hz: int) -> Hits:
    """Move each hit to the millisecond in which the energy rises most."""
    n_cell = max(1, round(_CELL_S * rate_hz))
    n_cells = samples.shape[1] // n_cell
    cells = samples[:, : n_cells * n_cell].reshape(samples.shape[0], n_cells, n_cell)
    # As a level, or the crest of a low drum would count for more than its beginning.
    level = np.log(np.sum(np.square(cells, dtype=np.float64), axis=(0, 2)) + 1e-12)
    before = ndimage.maximum_filter1d(level, 4, origin=1)
    rise = np.zeros(n_cells)
    rise[3:] = ndimage.uniform_filter1d(level, 3)[3:] - before[2:-1]
    refined = set()
    reach = round(0.015 / _CELL_S)
    for hit in coarse // n_cell:
        first = max(0, hit - reach)
        stretch = rise[first : hit + reach]
        refined.add((first + int(np.argmax(stretch))) * n_cell if stretch.size else hit * n_cell)
    return np.array(sorted(refined), dtype=np.int64)


def _energies(samples: FloatArray, hits: Hits, start: int, stop: int) -> NDArray[np.float64]:
    """Energy from `start` to `stop` samples after every hit, less what lies past the end."""
    stretches = [samples[:, hit + start : hit + stop].astype(np.float64) for hit in hits]
    return np.array([float(np.vdot(each, each)) for each in stretches])


def _median_ratio_db(energies: NDArray[np.float64], references: NDArray[np.float64]) -> float:
    known = references > 0.0
    if not known.any():
        return math.nan
    limit = 10.0 ** (-_LIMIT_DB / 10.0)
    ratio = np.clip(energies[known] / references[known], limit, 1.0 / limit)
    return float(10.0 * np.log10(np.median(ratio)))
