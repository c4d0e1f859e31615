"""A session at a network's rate, and the mix back at its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drummix.arrays import FloatArray
from drummix.audio import ResamplingStream, resampled_length


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
    stream: ResamplingStream | None = None
    for block in blocks:
        stream = stream or ResamplingStream(from_hz, to_hz, block.shape[0])
        resampled = stream.process(block)
        n_left -= resampled.shape[1]
        if resampled.shape[1] > 0:
            yield resampled
    if stream is not None and n_left > 0:
        # soxr may round the length down by a sample.
        yield np.pad(stream.flush(), ((0, 0), (0, 1)))[:, :n_left]


def exactly(n_samples: int, blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Stereo blocks cut or padded with zeros: resampling there and back may be a sample off."""
    n_left = n_samples
    for block in blocks:
        if n_left > 0:
            yield block[:, :n_left]
        n_left -= block.shape[1]
    if n_left > 0:
        yield np.zeros((2, n_left), dtype=np.float32)
