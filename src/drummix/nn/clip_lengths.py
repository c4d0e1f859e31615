"""What sources of clips have in common: the lengths of a clip, and drawing what it is cut from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.config import ClipSettings


class ClipLengths:
    """Lengths of a clip, by the geometry of a network and the settings of its clips."""

    config: WaveUNetConfig
    settings: ClipSettings

    @property
    def input_frames(self) -> int:
        """Length of the stems of a clip."""
        return self.config.input_frames(self.settings.bottleneck_frames)

    @property
    def output_frames(self) -> int:
        """Length of the target of a clip."""
        return self.config.output_frames(self.input_frames)


class ItemClips(ClipLengths, ABC):
    """Clips of items that are there to be read; a source says how long each is."""

    items: Sequence[Any]

    @abstractmethod
    def n_samples_of(self, index: int) -> int:
        """Length of an item in samples."""

    def pick(
        self, rng: np.random.Generator, *, epoch: int, number: int, n_clips: int
    ) -> tuple[int, int]:
        """Index of an item for a clip, longer ones more often, and its length in samples."""
        index = int(np.searchsorted(self._ends, rng.random(), side="right"))
        return index, self.n_samples_of(index)

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        lengths = np.array([self.n_samples_of(n) for n in range(len(self.items))], np.float64)
        return np.cumsum(lengths) / lengths.sum()
