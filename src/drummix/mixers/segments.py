"""A stream of any length through a network that takes one segment at a time.

In: blocks (inputs, samples) at the network's rate. Out: blocks of its output that join to the
same length. Before the first sample and after the last the network hears zeros.

The network decimates by a power of two, so what it gives depends on where a segment starts
relative to that. With hops that are a multiple of it, every segment sees the phase that one long
pass would see, and the joined result is that of one pass. The paper's hop is not such a multiple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.errors import SettingError
from drummix.mixers.architecture import PAPER_BOTTLENECK_FRAMES, WaveUNetConfig

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """One run of the network.

    Args:
        start: First output frame it gives, in frames of the stream.
        bottleneck_frames: Its length, as `WaveUNetConfig.input_frames` counts it.
        n_kept: Output frames to keep, from `start`.
    """

    start: int
    bottleneck_frames: int
    n_kept: int


def even_segments(config: WaveUNetConfig, n_samples: int, hop_frames: int) -> Iterator[Segment]:
    """Segments that join to the result of one long pass.

    Args:
        config: The network.
        n_samples: Length of the stream.
        hop_frames: Output frames of each segment; a multiple of `config.decimation`.

    Raises:
        SettingError: If `hop_frames` is no such multiple.
    """
    if hop_frames < 1 or hop_frames % config.decimation:
        raise SettingError("hop_frames", hop_frames, f"expected a multiple of {config.decimation}")
    for start in range(0, n_samples, hop_frames):
        n_kept = min(hop_frames, n_samples - start)
        # The inverse of `WaveUNetConfig.output_frames`, rounded up.
        lost = config.up_taps * (config.decimation - 1)
        bottleneck_frames = -(-(n_kept + lost) // config.decimation)
        yield Segment(start, max(bottleneck_frames, config.min_bottleneck_frames), n_kept)


def paper_segments(config: WaveUNetConfig, n_samples: int) -> Iterator[Segment]:
    """The paper's segments: its length, no overlap, the last one moved back to end with the stream.

    Each segment sees another decimation phase, so the result is close to that of one pass, not
    equal to it. Where the last segment overlaps the one before, the last one is kept.
    """
    hop_frames = config.output_frames(config.input_frames(PAPER_BOTTLENECK_FRAMES))
    last = max(0, n_samples - hop_frames)
    starts = [*range(0, last, hop_frames), last]
    for start, end in zip(starts, [*starts[1:], n_samples], strict=True):
        yield Segment(start, PAPER_BOTTLENECK_FRAMES, end - start)


def run_segments(
    segments: Iterator[Segment],
    blocks: Iterator[FloatArray],
    config: WaveUNetConfig,
    network: Callable[[FloatArray], FloatArray],
) -> Iterator[FloatArray]:
    """Run the network over a stream.

    Args:
        segments: What to run, starts in rising order.
        blocks: The stream, blocks (inputs, samples).
        config: The network's geometry.
        network: From (inputs, `config.input_frames`) to (outputs, `config.output_frames`).

    Yields:
        Blocks (outputs, samples), as long together as the segments' kept frames.
    """
    window = Window(blocks, config.n_inputs)
    for segment in segments:
        start = segment.start - config.context_frames
        stems = window.cut(start, start + config.input_frames(segment.bottleneck_frames))
        yield network(stems)[:, : segment.n_kept]


class Window:
    """Cuts pieces out of a stream at rising positions; zeros before its start and after its end."""

    def __init__(self, blocks: Iterator[FloatArray], n_channels: int) -> None:
        self._blocks = blocks
        self._kept: FloatArray = np.zeros((n_channels, 0), dtype=np.float32)
        self._kept_start = 0

    def cut(self, start: int, end: int) -> FloatArray:
        """Frames `start` to `end` of the stream; what lies before `start` is forgotten."""
        n_zeros = max(0, -start)
        parts = [self._kept[:, max(0, start - self._kept_start) :]]
        self._kept_start = max(start, self._kept_start)
        n_ready = parts[0].shape[1]
        while n_ready < end - self._kept_start and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            n_ready += block.shape[1]
        self._kept = np.concatenate(parts, axis=1)
        piece = self._kept[:, : end - self._kept_start]
        n_after = end - start - n_zeros - piece.shape[1]
        return np.pad(piece, ((0, 0), (n_zeros, n_after)))
