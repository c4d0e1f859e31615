"""Levels: decibels, peak, RMS, loudness and true peak; the only place they are converted.

In: float samples (channels, samples), full scale 1.0. Out: numbers in dB, dBFS, LUFS or dBTP.
Source: ITU-R BS.1770-4; filter coefficients after De Man, as pyloudnorm computes them.
"""

from __future__ import annotations

from typing import overload

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray
from pyloudnorm import Meter
from scipy.signal import sosfilt

FloatArray = NDArray[np.float32]

SILENCE_DBFS = -120.0
"""What `peak_dbfs` and its kin return for digital silence: the floor of `gain_to_db`."""

_OVERSAMPLING = 4
_TAIL_SAMPLES = 8192
"""Input kept for the end of a true-peak stream: soxr holds back under 1,000 samples at 4x."""


@overload
def db_to_gain(db: float) -> float: ...
@overload
def db_to_gain(db: NDArray[np.floating]) -> NDArray[np.float64]: ...
def db_to_gain(db: float | NDArray[np.floating]) -> float | NDArray[np.float64]:
    """Linear gain of a level in dB.

    >>> db_to_gain(20.0)
    10.0
    """
    gain = np.power(10.0, np.asarray(db, dtype=np.float64) / 20.0)
    return gain if isinstance(db, np.ndarray) else float(gain)


@overload
def gain_to_db(gain: float, *, floor_db: float = ...) -> float: ...
@overload
def gain_to_db(gain: NDArray[np.floating], *, floor_db: float = ...) -> NDArray[np.float64]: ...
def gain_to_db(
    gain: float | NDArray[np.floating], *, floor_db: float = SILENCE_DBFS
) -> float | NDArray[np.float64]:
    """Level in dB of a linear gain; the sign of the gain does not matter.

    Args:
        gain: Linear gain or amplitude, a number or an array.
        floor_db: Lowest level returned, so that zero has a level.

    Returns:
        Level in dB, never below `floor_db`, shape of `gain`.

    >>> gain_to_db(0.1)
    -20.0
    >>> gain_to_db(0.0)
    -120.0
    """
    magnitude = np.abs(np.asarray(gain, dtype=np.float64))
    with np.errstate(divide="ignore"):
        level_db = np.maximum(20.0 * np.log10(magnitude), floor_db)
    return level_db if isinstance(gain, np.ndarray) else float(level_db)


def peak_dbfs(samples: ArrayLike) -> float:
    """Level of the largest sample, over all channels, in dBFS (a full-scale square is 0.0)."""
    values = np.asarray(samples)
    return gain_to_db(float(np.max(np.abs(values), initial=0.0)))


def rms_dbfs(samples: ArrayLike) -> float:
    """Root mean square over all channels and samples in dBFS (a full-scale sine is -3.01)."""
    values = np.asarray(samples, dtype=np.float64)
    if values.size == 0:
        return SILENCE_DBFS
    return gain_to_db(float(np.sqrt(np.mean(np.square(values)))))


def crest_db(samples: ArrayLike) -> float:
    """Crest factor in dB: peak level minus RMS level; 3.01 for a sine, 0.0 for silence."""
    return peak_dbfs(samples) - rms_dbfs(samples)


def integrated_lufs(samples: NDArray[np.floating], rate_hz: int) -> float:
    """Integrated, gated loudness.

    Args:
        samples: Samples (channels, samples), at most left, right and centre: every channel has
            weight 1.0.
        rate_hz: Sample rate in Hz.

    Returns:
        Loudness in LUFS; -inf where no 400 ms block passes the gate (silence, or too short).

    Source: ITU-R BS.1770-4, Annex 1. An incomplete last block is not used.
    """
    meter = GatedLoudness(rate_hz, samples.shape[0])
    meter.add(samples)
    return meter.integrated_lufs()


def true_peak_dbtp(samples: NDArray[np.floating], rate_hz: int) -> float:
    """Largest value of the waveform between the samples, found by 4x oversampling.

    Args:
        samples: Samples (channels, samples).
        rate_hz: Sample rate in Hz.

    Returns:
        Level in dBTP, never below the sample peak.

    Source: ITU-R BS.1770-4, Annex 2, with soxr's filter instead of the 48-tap one printed there.
    """
    oversampled = soxr.resample(
        np.ascontiguousarray(samples.T, dtype=np.float32), rate_hz, _OVERSAMPLING * rate_hz
    )
    peak = max(np.max(np.abs(oversampled), initial=0.0), np.max(np.abs(samples), initial=0.0))
    return gain_to_db(float(peak))


class LoudnessMeter:
    """Loudness and true peak of a stream, in memory that does not grow with the audio.

    It keeps one energy for every 100 ms (under 1 MB an hour). Its results equal
    `integrated_lufs` and `true_peak_dbtp` of all blocks joined, whatever the block sizes,
    and may be asked for at any time, more than once.

    Args:
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels of every block.
    """

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._loudness = GatedLoudness(rate_hz, n_channels)
        self._true_peak = _TruePeak(rate_hz, n_channels)

    def add(self, block: NDArray[np.floating]) -> None:
        """Take in the next samples (channels, samples)."""
        self._loudness.add(block)
        self._true_peak.add(block)

    def integrated_lufs(self) -> float:
        """Integrated loudness in LUFS of everything so far; -inf where nothing passes the gate."""
        return self._loudness.integrated_lufs()

    def true_peak_dbtp(self) -> float:
        """True peak in dBTP of everything so far."""
        return self._true_peak.dbtp()


def _k_weighting_sos(rate_hz: int) -> NDArray[np.float64]:
    """The two biquads of BS.1770's K-weighting at any rate, (2, 6)."""
    # pyloudnorm has no public way to its coefficients.
    filters = Meter(rate_hz, filter_class="DeMan")._filters.values()
    return np.array([np.concatenate([stage.b, stage.a]) for stage in filters])


class GatedLoudness:
    """Integrated loudness of a stream: `LoudnessMeter` without the dearer true peak.

    Args:
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels of every block.
    """

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._rate_hz = rate_hz
        self._sos = _k_weighting_sos(rate_hz)
        self._state = np.zeros((self._sos.shape[0], n_channels, 2))
        self._energies: list[float] = []
        self._open_energy = 0.0
        self._n_seen = 0

    def _cell_end(self, cell: int) -> int:
        """First sample after the 100 ms cell, on an exact grid at rates 10 does not divide."""
        return (cell + 1) * self._rate_hz // 10

    def add(self, block: NDArray[np.floating]) -> None:
        """Take in the next samples (channels, samples)."""
        if block.shape[1] == 0:
            return
        weighted, self._state = sosfilt(
            self._sos, np.asarray(block, dtype=np.float64), zi=self._state
        )
        # All channels weigh 1.0, so their energies may be added up first.
        power = np.einsum("cn,cn->n", weighted, weighted)
        position = 0
        while position < power.size:
            cell_end = self._cell_end(len(self._energies)) - self._n_seen
            taken = power[position : position + cell_end]
            self._open_energy += float(np.sum(taken))
            self._n_seen += taken.size
            position += taken.size
            if taken.size == cell_end:
                self._energies.append(self._open_energy)
                self._open_energy = 0.0

    def integrated_lufs(self) -> float:
        """Integrated loudness in LUFS of everything so far; -inf where nothing passes the gate."""
        if len(self._energies) < 4:
            return -np.inf
        cells = np.array(self._energies)
        power = (cells[:-3] + cells[1:-2] + cells[2:-1] + cells[3:]) / (0.4 * self._rate_hz)
        passed = power[power >= _lufs_to_power(-70.0)]
        if passed.size == 0:
            return -np.inf
        # The absolute gate still holds where the relative one lies below it.
        gated = passed[passed > np.mean(passed) / 10.0]
        return float(-0.691 + 10.0 * np.log10(np.mean(gated)))


def _lufs_to_power(lufs: float) -> float:
    return float(10.0 ** ((lufs + 0.691) / 10.0))


class _TruePeak:
    """Largest oversampled value of a stream."""

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._rate_hz = rate_hz
        self._stream = soxr.ResampleStream(
            rate_hz, _OVERSAMPLING * rate_hz, n_channels, dtype="float32"
        )
        self._tail: FloatArray = np.zeros((0, n_channels), dtype=np.float32)
        self._tail_is_all = True
        self._peak = 0.0

    def add(self, block: NDArray[np.floating]) -> None:
        frames = np.ascontiguousarray(block.T, dtype=np.float32)
        if frames.shape[0] == 0:
            return
        oversampled = self._stream.resample_chunk(frames)
        self._peak = max(
            self._peak,
            float(np.max(np.abs(oversampled), initial=0.0)),
            float(np.max(np.abs(frames), initial=0.0)),
        )
        joined = np.concatenate([self._tail, frames[-_TAIL_SAMPLES:]])
        if joined.shape[0] > _TAIL_SAMPLES:
            joined = joined[-_TAIL_SAMPLES:].copy()
            self._tail_is_all = False
        self._tail = joined

    def dbtp(self) -> float:
        # The stream cannot be flushed and go on, so its unfinished end is oversampled anew;
        # where the kept end starts in the middle of the audio its first half only leads in.
        end = soxr.resample(self._tail, self._rate_hz, _OVERSAMPLING * self._rate_hz)
        lead_in = 0 if self._tail_is_all else end.shape[0] // 2
        return gain_to_db(max(self._peak, float(np.max(np.abs(end[lead_in:]), initial=0.0))))
