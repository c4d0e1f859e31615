"""A network that decimates hears the first sound of a session at the same phase, wherever it is.

What a Wave-U-Net gives depends on where its input begins relative to its decimation: by -30 dB for
one sample. Silence in front of a session would move that, and with it the whole mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from drummix.arrays import FloatArray
from drummix.levels import n_silent_before

SILENCE = 1e-5
"""-100 dBFS: what a resampler's rounding leaves in silence is far below."""

_BLOCK_SAMPLES = 1 << 16

Stream = Callable[[Iterator[FloatArray], int], Iterator[FloatArray]]
"""From blocks (inputs, samples) and their length to blocks (outputs, samples) as long."""


def run_from_first_sound(
    run: Stream, blocks: Iterator[FloatArray], n_samples: int, *, n_inputs: int, step: int
) -> Iterator[FloatArray]:
    """Run a network over a stream so that the first sound lies on a multiple of `step`.

    Args:
        run: The network.
        blocks: The stream, blocks (inputs, samples).
        n_samples: Its length.
        n_inputs: Channels of every block.
        step: Samples after which the network's phase comes again.

    Yields:
        Blocks (outputs, samples), `n_samples` long together.
    """
    n_silent, rest = 0, iter(blocks)
    for block in rest:
        n_before = n_silent_before(block, SILENCE)
        n_silent += n_before
        if n_before < block.shape[1]:
            rest = chain([block[:, n_before:]], rest)
            break
    n_added = -n_silent % step
    started = chain(_silence(n_inputs, n_added + n_silent), rest)
    n_skipped = 0
    for mixed in run(started, n_added + n_samples):
        n_first = min(n_added - n_skipped, mixed.shape[1])
        n_skipped += n_first
        if n_first < mixed.shape[1]:
            yield mixed[:, n_first:]


def _silence(n_inputs: int, n_samples: int) -> Iterator[FloatArray]:
    for start in range(0, n_samples, _BLOCK_SAMPLES):
        yield np.zeros((n_inputs, min(_BLOCK_SAMPLES, n_samples - start)), np.float32)
