"""Samples with their rate, and another rate for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from drummix.errors import AudioFileError

FloatArray = NDArray[np.float32]

RESAMPLING_QUALITY = "VHQ"

MAX_MAGNITUDE = 1e10
"""Whole numbers of 32 bits that were written as floats reach 2e9; what is beyond overflows where it
is squared, and is no sound."""


@dataclass(frozen=True, eq=False)
class Audio:
    """Samples and their rate.

    Args:
        samples: Samples (channels, samples); stored as float32.
        rate_hz: Sample rate in Hz.

    Raises:
        AudioFileError: If `samples` is not two-dimensional or the rate is not positive.
    """

    samples: FloatArray
    rate_hz: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim != 2:
            raise AudioFileError(
                f"samples have shape {samples.shape}; expected (channels, samples), "
                "for mono use samples[np.newaxis]"
            )
        if self.rate_hz <= 0:
            raise AudioFileError(f"a sample rate of {self.rate_hz} Hz; expected more than 0")
        object.__setattr__(self, "samples", samples)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def n_samples(self) -> int:
        """Length in samples (of one channel)."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate_hz


@dataclass(frozen=True)
class SampleFault:
    """A sample that is no sound.

    Args:
        at: Its index.
        what: What it is, for a person to read.
    """

    at: int
    what: str


def sample_fault(samples: NDArray[np.floating]) -> SampleFault | None:
    """The first sample that is not a number or far beyond any level; None where all are sound.

    Args:
        samples: Samples (channels, samples).

    >>> sample_fault(np.array([[0.0, np.nan]]))
    SampleFault(at=1, what='a sample that is not a number (NaN or infinite)')
    """
    # A NaN fails every comparison.
    if samples.size == 0 or -MAX_MAGNITUDE <= samples.min() <= samples.max() <= MAX_MAGNITUDE:
        return None
    is_sound = np.abs(samples) <= MAX_MAGNITUDE
    at = int(np.argmin(is_sound.all(axis=0)))
    value = float(samples[np.argmin(is_sound[:, at]), at])
    if np.isfinite(value):
        return SampleFault(at, f"a sample of {value:.3g}, which is no sound (full scale is 1)")
    return SampleFault(at, "a sample that is not a number (NaN or infinite)")


def resampled_length(n_samples: int, from_hz: int, to_hz: int) -> int:
    """Length after resampling, the nearest whole number of samples (a half rounds down).

    >>> resampled_length(44_100, 44_100, 48_000)
    48000
    """
    return (2 * n_samples * to_hz + from_hz - 1) // (2 * from_hz)


def resample(samples: NDArray[np.floating], from_hz: int, to_hz: int) -> FloatArray:
    """Samples at another rate.

    Args:
        samples: Samples (channels, samples).
        from_hz: Their rate in Hz.
        to_hz: Rate in Hz of the result.

    Returns:
        float32 (channels, `resampled_length`), a copy even where the rates are equal.
    """
    frames = np.array(samples.T, dtype=np.float32, order="C")
    if from_hz != to_hz:
        frames = soxr.resample(frames, from_hz, to_hz, quality=RESAMPLING_QUALITY)
    return fit_length(frames, resampled_length(samples.shape[1], from_hz, to_hz)).T


def fit_length(frames: FloatArray, n_samples: int) -> FloatArray:
    """Frames (samples, channels) cut or padded with zeros to `n_samples`."""
    frames = frames[:n_samples]
    return np.pad(frames, ((0, n_samples - frames.shape[0]), (0, 0)))


def weighted_sums(gains: NDArray[np.floating], samples: NDArray[np.floating]) -> FloatArray:
    """Channels summed with gains, the same bits on any number of cores.

    A matrix product rounds otherwise when it is shared among threads, and most gains are 0.

    Args:
        gains: Gain of each channel in each sum (sums, channels).
        samples: Samples (channels, samples).

    Returns:
        The sums (sums, samples), float32.
    """
    dtype = np.result_type(gains, samples)
    sums = np.empty((gains.shape[0], samples.shape[1]), dtype)
    for row, total in zip(gains, sums, strict=True):
        first, *others = np.flatnonzero(row) if row.any() else [0]
        np.multiply(samples[first], row[first], out=total)
        for column in others:
            total += row[column] * samples[column]
    return sums.astype(np.float32, copy=False)


def whole_pieces(
    rest: FloatArray, block: FloatArray, n_samples: int
) -> tuple[FloatArray, FloatArray]:
    """Cut a stream that comes in blocks of any size into pieces of one length.

    Args:
        rest: What was left over so far (channels, samples).
        block: What comes next (channels, samples).
        n_samples: Length of a piece.

    Returns:
        The whole pieces (channels, pieces, n_samples), and what is left over now.
    """
    joined = np.concatenate([rest, block], axis=1) if rest.size else block
    n_pieces = joined.shape[1] // n_samples
    pieces = joined[:, : n_pieces * n_samples].reshape(joined.shape[0], n_pieces, n_samples)
    return pieces, joined[:, n_pieces * n_samples :].copy()
