"""A stream of blocks at another sample rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from drummix.audio import resampled_length

FloatArray = NDArray[np.float32]

_QUALITY = "HQ"
"""20 bits: 120 dB, far below what a network adds, at half the time of the next one."""


def resample_blocks(
    blocks: Iterator[FloatArray], *, n_samples: int, from_hz: int, to_hz: int
) -> Iterator[FloatArray]:
    """Resample a stream, in memory that does not grow with its length.

    Args:
        blocks: Blocks (channels, samples), `n_samples` long together.
        n_samples: Length of the stream.
        from_hz: Its sample rate in Hz.
        to_hz: Sample rate in Hz of the result.

    Yields:
        Blocks (channels, samples), together `drummix.audio.resampled_length` long.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    n_left = resampled_length(n_samples, from_hz, to_hz)
    n_read = 0
    stream: soxr.ResampleStream | None = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(
                from_hz, to_hz, block.shape[0], dtype="float32", quality=_QUALITY
            )
        n_read += block.shape[1]
        frames = np.ascontiguousarray(block.T, dtype=np.float32)
        resampled = stream.resample_chunk(frames, last=n_read >= n_samples)[:n_left]
        n_left -= resampled.shape[0]
        if resampled.shape[0] > 0:
            yield resampled.T
    if stream is not None and n_left > 0:
        # soxr may round the length down by a sample.
        yield np.zeros((resampled.shape[1], n_left), dtype=np.float32)


def exactly(n_samples: int, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Stereo blocks cut or padded with zeros: resampling there and back may be a sample off."""
    n_left = n_samples
    for block in blocks:
        if n_left > 0:
            yield block[:, :n_left]
        n_left -= block.shape[1]
    if n_left > 0:
        yield np.zeros((2, n_left), dtype=np.float32)
