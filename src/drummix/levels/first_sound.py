"""Where a stream begins to sound: what depends on where it is cut is cut from there."""

from __future__ import annotations

import numpy as np

from drummix.arrays import FloatArray


def n_silent_before(block: FloatArray, silence: float) -> int:
    """Samples before the first sound of a block; all of them where there is none.

    Args:
        block: Samples (channels, samples).
        silence: Amplitude above which it sounds.

    >>> n_silent_before(np.array([[0.0, 0.0, 0.1], [0.0, -0.2, 0.0]]), 0.01)
    1
    """
    sounds = (np.abs(block) > silence).any(axis=0)
    return int(np.argmax(sounds)) if sounds.any() else block.shape[1]


class FromFirstSound:
    """A stream without the silence before it.

    Args:
        silence: Amplitude above which it sounds.
    """

    def __init__(self, silence: float = 0.0) -> None:
        self._silence = silence
        self._has_begun = False

    def process(self, block: FloatArray) -> FloatArray:
        """What of the next samples (channels, samples) is not before the first sound."""
        if self._has_begun:
            return block
        n_silent = n_silent_before(block, self._silence)
        self._has_begun = n_silent < block.shape[1]
        return block[:, n_silent:]
