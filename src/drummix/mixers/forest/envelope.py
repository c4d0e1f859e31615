"""Peaks and energy of audio as it goes by, and the power spectrum of its frames.

In: blocks of any size (channels, samples). Out: the peak of every 10 ms, sums of squares. Both the
features of the stems and the rules of a wet mix go by them; the loops are compiled.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]

PIECE_S = 0.01

# Samples are finite numbers, and a sum may be formed in any order.
_compiled = njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "reassoc"})


class Envelope:
    """Peaks and energy, in memory that grows by 400 bytes a second and channel.

    Args:
        n_channels: Channels of every block.
        rate_hz: Sample rate in Hz.
    """

    def __init__(self, n_channels: int, rate_hz: int) -> None:
        self._n_piece = max(1, round(PIECE_S * rate_hz))
        self._peaks: list[FloatArray] = []
        self._open_peaks = np.zeros((n_channels, 1), np.float32)
        self._energy = np.zeros(n_channels)
        self.pieces_per_s = rate_hz / self._n_piece
        self.n_samples = 0

    def add(self, block: FloatArray) -> None:
        """Hear the next samples (channels, samples)."""
        n_open = self.n_samples % self._n_piece
        peaks = np.empty((block.shape[0], (n_open + block.shape[1]) // self._n_piece), np.float32)
        block = np.ascontiguousarray(block)
        _hear(block, self._n_piece, n_open, self._open_peaks, self._energy, peaks)
        self._peaks.append(peaks)
        self.n_samples += block.shape[1]

    def peaks(self) -> DoubleArray:
        """Peak of every whole piece, (channels, pieces)."""
        return np.concatenate([self._open_peaks[:, :0], *self._peaks], axis=1).astype(np.float64)

    def open_peaks(self) -> DoubleArray:
        """Peak of what has come of the piece that is not whole yet, (channels, 0 or 1)."""
        is_open = self.n_samples % self._n_piece > 0
        return self._open_peaks[:, : int(is_open)].astype(np.float64)

    def energy(self) -> DoubleArray:
        """Sum of squares, (channels,)."""
        return self._energy.copy()


@_compiled
def _hear(block, n_piece, n_open, open_peaks, energy, peaks):  # type: ignore[no-untyped-def]
    n_samples = block.shape[1]
    for channel in range(block.shape[0]):
        peak, start, end, piece = open_peaks[channel, 0], 0, n_piece - n_open, 0
        while start < n_samples:
            heard = block[channel, start : min(end, n_samples)]
            squares = 0.0
            for n in range(heard.shape[0]):
                peak = max(peak, abs(heard[n]))
            for n in range(heard.shape[0]):
                squares += np.float64(heard[n]) * np.float64(heard[n])
            energy[channel] += squares
            if end <= n_samples:
                peaks[channel, piece] = peak
                peak, piece = np.float32(0.0), piece + 1
            start, end = end, end + n_piece
        open_peaks[channel, 0] = peak


@_compiled
def add_power(lines: NDArray[np.complex64], power: DoubleArray) -> None:
    """Add the power of every line of spectra (frames, lines) to `power` (lines,)."""
    for frame in range(lines.shape[0]):
        for line in range(lines.shape[1]):
            re, im = lines[frame, line].real, lines[frame, line].imag
            power[line] += re * re + im * im
