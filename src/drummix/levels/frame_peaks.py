"""Peaks of short overlapping frames of a stream, below 20 kHz.

What an envelope is read from should depend neither on where the first frame begins nor on what
lies between 20 kHz and half the rate, which a session that was resampled has lost. So frames of
10 ms begin every 0.5 ms, and a short filter takes the top octave's end away.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from drummix.arrays import FloatArray

FRAME_RATE_HZ = 44_100
"""Rate of the stream: 10 ms, the cells and the filter are whole numbers of samples at it."""

_N_CELL = 21
_N_FRAME_CELLS = 21
_N_SIDE = 15
"""Taps of the filter on either side of its middle."""

_PASS_HZ, _STOP_HZ = 19_500.0, 21_500.0
_STOP_WEIGHT = 0.02


class FramePeaks:
    """Peaks of a stream at 44.1 kHz, in memory that does not grow.

    The peaks joined are the same whatever the sizes of the blocks, and silence before the first
    sample or after the last only adds frames of peak zero.

    Args:
        n_channels: Number of channels of every block.
    """

    def __init__(self, n_channels: int) -> None:
        self._samples = np.zeros((n_channels, 2 * _N_SIDE), np.float32)
        self._cells = np.zeros((n_channels, _N_FRAME_CELLS - 1), np.float32)

    def process(self, block: FloatArray) -> FloatArray:
        """Take in the next samples (channels, samples) and give the peaks (channels, frames)."""
        from drummix.levels.kernels import filtered_cell_peaks

        samples = np.concatenate([self._samples, block], axis=1)
        n_cells = max(0, samples.shape[1] - 2 * _N_SIDE) // _N_CELL
        self._samples = samples[:, n_cells * _N_CELL :].copy()
        peaks = np.empty((samples.shape[0], n_cells), np.float32)
        for channel, row in zip(samples, peaks, strict=True):
            filtered_cell_peaks(channel, _half_kernel(), _N_CELL, row)
        cells = np.concatenate([self._cells, peaks], axis=1)
        self._cells = cells[:, n_cells:]
        return _highest_of_each(cells, _N_FRAME_CELLS)

    def flush(self) -> FloatArray:
        """The frames that the end lies in, (channels, frames); silence follows it."""
        n_samples = 2 * _N_SIDE + _N_CELL * _N_FRAME_CELLS
        return self.process(np.zeros((self._samples.shape[0], n_samples), np.float32))


def _highest_of_each(cells: FloatArray, n_together: int) -> FloatArray:
    """Maximum of every run of neighbouring columns, by runs of two, four, eight and so on."""
    highest, n_joined = cells, 1
    while n_joined < n_together:
        step = min(n_joined, n_together - n_joined)
        highest = np.maximum(highest[:, step:], highest[:, : highest.shape[1] - step])
        n_joined += step
    return highest


@cache
def _half_kernel() -> FloatArray:
    """Middle tap and one side of a low-pass by weighted least squares, of gain 1 at 0 Hz."""
    grid = (np.arange(4096) + 0.5) / 4096 * FRAME_RATE_HZ / 2
    weight = np.where(grid < _PASS_HZ, 1.0, np.where(grid > _STOP_HZ, _STOP_WEIGHT, 0.0))
    cosines = np.cos(2 * np.pi * np.outer(grid, np.arange(_N_SIDE + 1)) / FRAME_RATE_HZ)
    weighted = cosines * weight[:, np.newaxis]
    amplitudes = np.linalg.solve(weighted.T @ cosines, weighted.T @ (grid < _PASS_HZ))
    amplitudes[1:] /= 2.0
    return (amplitudes / (2.0 * amplitudes.sum() - amplitudes[0])).astype(np.float32)
