"""The loops of metering that run over every sample, compiled.

Loaded when something is first metered: numba takes a third of a second.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]

# Samples are finite numbers, and a sum may be formed in any order.
_compiled = njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "reassoc"})

_AT_ONCE = 256
_FORGOTTEN = 1e-30


@_compiled
def add_weighted_energy(
    samples: FloatArray,
    sections: DoubleArray,
    state: DoubleArray,
    ends: NDArray[np.int64],
    energies: DoubleArray,
) -> None:
    """Filter samples with two biquads and add the energy of each of their cells.

    Args:
        samples: (channels, samples).
        sections: Both biquads (2, 6), as `scipy.signal.sosfilt` takes them.
        state: What the filters keep (channels, 4); changed.
        ends: Sample behind the end of every cell; the last is that of `samples`.
        energies: Sum over all channels of each cell; added to.
    """
    # Number by number: an array taken apart at once takes seconds to compile.
    b0, b1, b2 = sections[0, 0], sections[0, 1], sections[0, 2]
    a1, a2 = sections[0, 4], sections[0, 5]
    d0, d1, d2 = sections[1, 0], sections[1, 1], sections[1, 2]
    c1, c2 = sections[1, 4], sections[1, 5]
    for channel in range(samples.shape[0]):
        s0, s1 = state[channel, 0], state[channel, 1]
        s2, s3 = state[channel, 2], state[channel, 3]
        start = 0
        for cell in range(ends.size):
            # Digital silence after digital silence leaves no energy.
            if s0 == 0.0 and s1 == 0.0 and s2 == 0.0 and s3 == 0.0:
                while start < ends[cell] and samples[channel, start] == 0.0:
                    start += 1
            energy = 0.0
            for n in range(start, ends[cell]):
                heard = np.float64(samples[channel, n])
                shelved = b0 * heard + s0
                s0 = b1 * heard - a1 * shelved + s1
                s1 = b2 * heard - a2 * shelved
                weighted = d0 * shelved + s2
                s2 = d1 * shelved - c1 * weighted + s3
                s3 = d2 * shelved - c2 * weighted
                energy += weighted * weighted
            energies[cell] += energy
            start = ends[cell]
            # In digital silence what is left would shrink to numbers that are slow to compute.
            if abs(s0) + abs(s1) + abs(s2) + abs(s3) < _FORGOTTEN:
                s0 = s1 = s2 = s3 = 0.0
        state[channel, 0], state[channel, 1] = s0, s1
        state[channel, 2], state[channel, 3] = s2, s3


@_compiled
def highest_between(
    samples: FloatArray, kernels: FloatArray, most: np.float32, peak: np.float32
) -> np.float32:
    """The larger of `peak` and the largest magnitude between samples.

    Args:
        samples: One channel (samples,).
        kernels: Interpolators (3, taps), one for each of the three places between two samples.
        most: More than any of them can make of samples of magnitude 1.
        peak: Largest magnitude so far: what cannot exceed it is not computed.
    """
    n_taps = kernels.shape[1]
    made = np.empty((3, _AT_ONCE), np.float32)
    n_all = samples.size - n_taps + 1
    for start in range(0, n_all, _AT_ONCE):
        count = min(_AT_ONCE, n_all - start)
        loudest = np.float32(0.0)
        for n in range(start, start + count + n_taps - 1):
            loudest = max(loudest, abs(samples[n]))
        if loudest * most <= peak:
            continue
        made[:] = 0.0
        for tap in range(0, n_taps, 4):
            heard = samples[start + tap : start + tap + count + 3]
            for place in range(3):
                k0, k1 = kernels[place, tap], kernels[place, tap + 1]
                k2, k3 = kernels[place, tap + 2], kernels[place, tap + 3]
                row = made[place]
                for n in range(count):
                    row[n] += (
                        k0 * heard[n] + k1 * heard[n + 1] + k2 * heard[n + 2] + k3 * heard[n + 3]
                    )
        for place in range(3):
            row = made[place]
            for n in range(count):
                peak = max(peak, abs(row[n]))
    return peak


@_compiled
def filtered_cell_peaks(
    samples: FloatArray, half_kernel: FloatArray, n_cell: int, peaks: FloatArray
) -> None:
    """Filter one channel and find the largest magnitude of each of its cells.

    Args:
        samples: (cells * `n_cell` + taps - 1,).
        half_kernel: Middle tap of a symmetric filter and those on one side of it.
        n_cell: Samples of a cell.
        peaks: (cells,); written.
    """
    n_side = half_kernel.size - 1
    n_chunk = max(1, _AT_ONCE // n_cell)
    made = np.empty(n_chunk * n_cell, np.float32)
    for first in range(0, peaks.size, n_chunk):
        n_cells = min(n_chunk, peaks.size - first)
        count = n_cells * n_cell
        start = first * n_cell
        row = made[:count]
        middle = samples[start + n_side : start + n_side + count]
        for n in range(count):
            row[n] = half_kernel[0] * middle[n]
        for tap in range(1, n_side + 1):
            gain = half_kernel[tap]
            before = samples[start + n_side - tap : start + n_side - tap + count]
            after = samples[start + n_side + tap : start + n_side + tap + count]
            for n in range(count):
                row[n] += gain * (before[n] + after[n])
        for cell in range(n_cells):
            peak = np.float32(0.0)
            for n in range(cell * n_cell, (cell + 1) * n_cell):
                peak = max(peak, abs(row[n]))
            peaks[first + cell] = peak
