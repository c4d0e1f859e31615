"""Peaks and energy of audio as it goes by, and the power spectrum of its frames.

In: blocks of any size (channels, samples). Out: peak and sum of squares of every 10 ms. Both the
features of the stems and the rules of a wet mix go by them; the loops are compiled.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from drummix.arrays import BoolArray, DoubleArray, FloatArray
from drummix.audio import ResamplingStream
from drummix.gain_staging import SILENCE_DBFS
from drummix.levels import FromFirstSound, db_to_gain

MEASURED_RATE_HZ = 44_100
"""Rate of the corpora that forests are grown on: at another one peaks and spectra are others."""

PIECE_SAMPLES = 441
PIECES_PER_S = 100.0

ACTIVE_DB = 60.0
"""Where nothing comes within so much of its own highest peak, there is silence around the music."""

# Samples are finite numbers, and a sum may be formed in any order.
_compiled = njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "reassoc"})


class Music:
    """A session or a mix as it is measured: at the corpora's rate, from its first sound on.

    Args:
        rate_hz: Sample rate in Hz of the blocks.
        n_channels: Channels of every block.
    """

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._stream = ResamplingStream(rate_hz, MEASURED_RATE_HZ, n_channels)
        self._begun = FromFirstSound(db_to_gain(SILENCE_DBFS))

    def process(self, block: FloatArray) -> FloatArray:
        """Take in the next samples (channels, samples) and give what is ready."""
        return self._begun.process(self._stream.process(block))

    def flush(self) -> FloatArray:
        """What is left at the end, (channels, samples)."""
        return self._begun.process(self._stream.flush())


class Envelope:
    """Peaks and energies, in memory that grows by 1,200 bytes a second and channel.

    The last piece counts as a whole one, as silence follows it.

    Args:
        n_channels: Channels of every block, at `MEASURED_RATE_HZ`.
    """

    def __init__(self, n_channels: int) -> None:
        self._peaks: list[FloatArray] = []
        self._energies: list[DoubleArray] = []
        self._open_peak = np.zeros((n_channels, 1), np.float32)
        self._open_energy = np.zeros((n_channels, 1))
        self._n_open = 0

    def add(self, block: FloatArray) -> None:
        """Hear the next samples (channels, samples)."""
        n_pieces, n_open = divmod(self._n_open + block.shape[1], PIECE_SAMPLES)
        peaks = np.empty((block.shape[0], n_pieces), np.float32)
        energies = np.empty((block.shape[0], n_pieces))
        counted = (self._open_peak, self._open_energy, peaks, energies)
        _hear(np.ascontiguousarray(block), PIECE_SAMPLES, self._n_open, *counted)
        self._peaks.append(peaks)
        self._energies.append(energies)
        self._n_open = n_open

    def peaks(self) -> DoubleArray:
        """Peak of every piece, (channels, pieces)."""
        whole = [*self._peaks, self._open_peak[:, : int(self._n_open > 0)]]
        return np.concatenate(whole, axis=1).astype(np.float64)

    def energies(self) -> DoubleArray:
        """Sum of squares of every piece, (channels, pieces)."""
        return np.concatenate([*self._energies, self._open_energy[:, : int(self._n_open > 0)]], 1)


def active_pieces(peaks: DoubleArray) -> BoolArray:
    """Which pieces are music and not silence around it, (pieces,).

    Args:
        peaks: Peaks (channels, pieces).
    """
    highest = peaks.max(axis=1, initial=0.0, keepdims=True)
    return np.asarray((peaks > db_to_gain(-ACTIVE_DB) * highest).any(axis=0))


@_compiled
def _hear(block, n_piece, n_open, open_peak, open_energy, peaks, energies):  # type: ignore[no-untyped-def]
    n_samples = block.shape[1]
    for channel in range(block.shape[0]):
        peak, energy = open_peak[channel, 0], open_energy[channel, 0]
        start, end, piece = 0, n_piece - n_open, 0
        while start < n_samples:
            heard = block[channel, start : min(end, n_samples)]
            squares = 0.0
            for n in range(heard.shape[0]):
                peak = max(peak, abs(heard[n]))
            for n in range(heard.shape[0]):
                squares += np.float64(heard[n]) * np.float64(heard[n])
            energy += squares
            if end <= n_samples:
                peaks[channel, piece], energies[channel, piece] = peak, energy
                peak, energy, piece = np.float32(0.0), 0.0, piece + 1
            start, end = end, end + n_piece
        open_peak[channel, 0], open_energy[channel, 0] = peak, energy


@_compiled
def add_power(lines: NDArray[np.complex64], power: DoubleArray) -> None:
    """Add the power of every line of spectra (frames, lines) to `power` (lines,)."""
    for frame in range(lines.shape[0]):
        for line in range(lines.shape[1]):
            re, im = lines[frame, line].real, lines[frame, line].imag
            power[line] += re * re + im * im
