"""Filters from stems to channels, running over a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.audio import weighted_sums

FloatArray = NDArray[np.float32]


def filter_blocks(
    blocks: Iterable[NDArray[np.floating]], filters: NDArray[np.floating], n_lead: int = 0
) -> Iterator[FloatArray]:
    """Filter stems into channels, in memory that does not grow with the audio.

    Args:
        blocks: Stems (stems, samples), block by block, of any size.
        filters: (channels, stems, taps); y[n] = sum_a h[a] x[n + n_lead - a].
        n_lead: How many taps look ahead.

    Yields:
        Blocks (channels, samples), together as long as the stems.
    """
    n_taps = filters.shape[2]
    if n_taps == 1:
        for block in blocks:
            yield weighted_sums(filters[:, :, 0], block)
        return
    n_fft = fft.next_fast_len(max(4096, 8 * n_taps), real=True)
    hop = n_fft - n_taps + 1
    spectra = fft.rfft(filters, n_fft, axis=2).transpose(2, 0, 1)
    # The samples before the next output sample that its filters still need.
    waiting = np.zeros((filters.shape[1], n_taps - 1 - n_lead))
    n_given = n_seen = 0
    for block in blocks:
        n_seen += block.shape[1]
        waiting = np.concatenate([waiting, block], axis=1)
        n_hops = max(0, waiting.shape[1] - (n_taps - 1)) // hop
        for index in range(n_hops):
            frame = waiting[:, index * hop : index * hop + n_fft]
            yield _filtered(frame, spectra, n_fft, n_taps)
        waiting = waiting[:, n_hops * hop :]
        n_given += n_hops * hop
    while n_given < n_seen:
        frame = waiting[:, :n_fft]
        frame = np.pad(frame, ((0, 0), (0, n_fft - frame.shape[1])))
        yield _filtered(frame, spectra, n_fft, n_taps)[:, : n_seen - n_given]
        waiting = waiting[:, hop:]
        n_given += hop


def _filtered(
    frame: NDArray[np.floating], spectra: NDArray[np.complex128], n_fft: int, n_taps: int
) -> FloatArray:
    heard = fft.rfft(frame, n_fft, axis=1).T[:, :, np.newaxis]
    made = fft.irfft((spectra @ heard)[:, :, 0], n_fft, axis=0)
    return made[n_taps - 1 :].T.astype(np.float32)
