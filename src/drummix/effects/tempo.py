"""Tempo and decay of drum audio, from its envelope.

In: the peaks of short blocks, as they come while a mix is measured. Out: beats per minute, and how
long a stroke sounds. Small and fast: a mix needs a tempo to time its effects by, not a beat grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DoubleArray = NDArray[np.float64]

SLOWEST_BPM, FASTEST_BPM = 60.0, 200.0
_USUAL_BPM, _SPREAD_OCTAVES = 115.0, 0.5
_LEAST_PERIODICITY = 0.1


def tempo_bpm(peaks: DoubleArray, blocks_per_s: float) -> float | None:
    """Tempo of drums from the autocorrelation of their onsets.

    Args:
        peaks: Peak amplitude of each block, (blocks,).
        blocks_per_s: Blocks a second, 50 or more.

    Returns:
        Beats per minute, 60 to 200, or None where nothing repeats. It is a period at which the
        onsets repeat, near 115 BPM rather than far from it, and not always the beat that a drummer
        counts: slow grooves come out at twice their tempo, fast ones at half of it, and some at
        two thirds or four thirds.

    Source:
        Ellis, "Beat tracking by dynamic programming", J. New Music Research 36(1), 2007: onset
        strength, autocorrelation, and a log-normal weight around usual tempi. Ours wants two and
        four beats to repeat as well, which tells the beat from its subdivisions.
    """
    highest = float(peaks.max(initial=0.0))
    if highest <= 0.0 or len(peaks) < 4 * blocks_per_s:
        return None
    # Between amplitude, which hears the loudest strokes alone, and level, which hears all alike.
    onsets = np.maximum(np.diff(np.sqrt(peaks / highest)), 0.0)
    onsets -= onsets.mean()
    size = 1 << int(np.ceil(np.log2(2 * len(onsets))))
    power = np.abs(np.fft.rfft(onsets, size)) ** 2
    repeats = np.fft.irfft(power, size)[: len(onsets)]
    if repeats[0] <= 0.0:
        return None
    repeats = repeats / repeats[0]
    candidates = np.arange(SLOWEST_BPM, FASTEST_BPM, 0.25)
    lags = 60.0 / candidates * blocks_per_s
    after = [
        np.interp(beats * lags, np.arange(len(repeats)), repeats, right=0.0) for beats in (1, 2, 4)
    ]
    strength = np.maximum(after[0], 0.0) * (1.0 + 0.5 * after[1] + 0.25 * after[2])
    octaves = np.log2(candidates / _USUAL_BPM)
    best = int(np.argmax(strength * np.exp(-0.5 * (octaves / _SPREAD_OCTAVES) ** 2)))
    return float(candidates[best]) if strength[best] > _LEAST_PERIODICITY else None


def tail_s(peaks: DoubleArray, blocks_per_s: float) -> float:
    """How long strokes sound: mean length of stretches within 20 dB of the highest peak.

    Args:
        peaks: Peak amplitude of each block, (blocks,).
        blocks_per_s: Blocks a second.

    Returns:
        Seconds, at least 0.1.

    Source:
        The intent of the compressor of Moffat and Sandler (2019) as the paper used it; theirs
        measures the analytic signal sample by sample and leaves out stretches up to 100 samples,
        ours the peaks of blocks.
    """
    highest = float(peaks.max(initial=0.0))
    if highest <= 0.0:
        return 0.1
    is_loud = np.concatenate([[False], peaks > 0.1 * highest, [False]])
    edges = np.flatnonzero(np.diff(is_loud.astype(np.int8)))
    lengths = np.diff(edges.reshape(-1, 2), axis=1)
    return max(0.1, float(lengths.mean()) / blocks_per_s)
