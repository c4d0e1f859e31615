"""Where each layer of a Wave-U-Net stands when the stream has come to a certain frame.

A push of `hop` frames gives every map of the network its next hop / 2^level frames, all of them
computed once. A map lags behind the stream by an offset that does not change, and keeps as many
frames of its past as what comes later still needs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from drummix.mixers.architecture import WaveUNetConfig

BELOW_HISTORY = 3
"""Frames that an upsampling block hears again of the map below: its kernels have up to 4 taps."""


@dataclass(frozen=True)
class Geometry:
    """Offsets and histories of the maps of a network, in frames of each map.

    Args:
        offsets: First frame that a push gives to each downsampling block, and to the bottleneck,
            relative to where the push would start if nothing lagged behind.
        histories: Frames kept of the output of each downsampling block.
        skip_rows: Row of a kept map under the first tap of the upsampling block that hears it,
            deepest block first.
        input_history: Frames kept of the input.
        delay: Frames by which the output lags behind the start of its context.
    """

    offsets: tuple[int, ...]
    histories: tuple[int, ...]
    skip_rows: tuple[int, ...]
    input_history: int
    delay: int

    @classmethod
    def of(cls, config: WaveUNetConfig) -> Geometry:
        """The geometry of a network."""
        lost = config.down_taps - 1
        offsets = [-lost]
        for _ in range(config.levels):
            # Every other frame; of an odd frame, the next even one.
            offsets.append(-(-offsets[-1] // 2) - lost)
        histories = [above - 2 * below for above, below in itertools.pairwise(offsets)]
        up_offset, heard = offsets[-1], []
        for depth in range(config.levels):
            up_offset = 2 * (up_offset - BELOW_HISTORY)
            heard.append(up_offset + config.skip_margin(depth))
            level = config.levels - 1 - depth
            histories[level] = max(histories[level], offsets[level] - heard[-1])
        skip_rows = [
            row - offsets[level] + histories[level]
            for row, level in zip(heard, range(config.levels - 1, -1, -1), strict=True)
        ]
        return cls(
            tuple(offsets),
            tuple(histories),
            tuple(skip_rows),
            input_history=max(lost, -(up_offset + config.context_frames)),
            delay=-up_offset,
        )

    def down_row(self, level: int) -> int:
        """Row of the map above (the input, at level 0) under the first tap of a block."""
        if level == 0:
            return self.offsets[0] + self.input_history
        return 2 * self.offsets[level] - self.offsets[level - 1] + self.histories[level - 1]
