"""The loops of measuring that run over every sample of every file, compiled.

Loaded when something is first measured: numba takes a third of a second.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]

# Samples are finite numbers, and a sum may be formed in any order.
_compiled = njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "reassoc"})

_PRIME = np.uint64(0x100000001B3)
_MINUS_ZERO = np.uint32(0x80000000)


@_compiled
def add_levels(samples: FloatArray, sums: DoubleArray) -> np.float32:
    """Add the samples of one channel, and their squares, to `sums`; give the largest magnitude."""
    total, energy = 0.0, 0.0
    loudest = np.float32(0.0)
    for n in range(samples.size):
        sample = np.float64(samples[n])
        total += sample
        energy += sample * sample
        loudest = max(loudest, abs(samples[n]))
    sums[0] += total
    sums[1] += energy
    return loudest


@_compiled
def add_runs(
    samples: FloatArray, at: int, full_scale: float, n_least: int, runs: NDArray[np.int64]
) -> None:
    """Count runs of samples at full scale, also those that cross blocks.

    Args:
        samples: One channel (samples,).
        at: Index of the first of them in the file.
        full_scale: Magnitude from which on a sample counts.
        n_least: Samples that make a run.
        runs: Number of runs, length of the one that is open, start of the first or -1; changed.
    """
    n_open = runs[1]
    for n in range(samples.size):
        if abs(samples[n]) >= full_scale:
            n_open += 1
            if n_open == n_least:
                runs[0] += 1
                if runs[2] < 0:
                    runs[2] = at + n - n_least + 1
        else:
            n_open = 0
    runs[1] = n_open


@_compiled
def add_checksum(bits: NDArray[np.uint32], at: int, lanes: NDArray[np.uint64]) -> None:
    """Take samples into a checksum that does not depend on the blocks they come in.

    Args:
        bits: One channel (samples,), its floats seen as whole numbers; 0.0 and -0.0 are the same.
        at: Index of the first of them in the file.
        lanes: Four sums, each of every fourth sample, that the processor forms side by side.

    Source: Fowler, Noll and Vo, the 64-bit FNV-1a hash; here of words in place of bytes.
    """
    n_all = bits.size
    n = 0
    while n < n_all and (at + n) % 4:
        word = bits[n] if bits[n] != _MINUS_ZERO else np.uint32(0)
        lanes[(at + n) % 4] = (lanes[(at + n) % 4] ^ np.uint64(word)) * _PRIME
        n += 1
    first, second, third, fourth = lanes[0], lanes[1], lanes[2], lanes[3]
    while n + 4 <= n_all:
        w0 = bits[n] if bits[n] != _MINUS_ZERO else np.uint32(0)
        w1 = bits[n + 1] if bits[n + 1] != _MINUS_ZERO else np.uint32(0)
        w2 = bits[n + 2] if bits[n + 2] != _MINUS_ZERO else np.uint32(0)
        w3 = bits[n + 3] if bits[n + 3] != _MINUS_ZERO else np.uint32(0)
        first = (first ^ np.uint64(w0)) * _PRIME
        second = (second ^ np.uint64(w1)) * _PRIME
        third = (third ^ np.uint64(w2)) * _PRIME
        fourth = (fourth ^ np.uint64(w3)) * _PRIME
        n += 4
    lanes[0], lanes[1], lanes[2], lanes[3] = first, second, third, fourth
    while n < n_all:
        word = bits[n] if bits[n] != _MINUS_ZERO else np.uint32(0)
        lanes[(at + n) % 4] = (lanes[(at + n) % 4] ^ np.uint64(word)) * _PRIME
        n += 1
