"""Clips of a producer's own sessions, from files that hold what the network hears and should give.

A file is float32 frames, the network's inputs and then left and right of the mix, one frame after
the other: it is written in one pass and read by the stretch, so memory does not grow with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drummix.errors import TrainingError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.base import FloatArray
from drummix.nn.clip_changes import UNCHANGED, ClipChange
from drummix.nn.clip_lengths import ItemClips
from drummix.nn.config import ClipSettings

FRAME_DTYPE = np.dtype(np.float32)


@dataclass(frozen=True)
class Stretch:
    """A part of a session whose mix is known.

    Args:
        item: Name of the session.
        path: File of frames.
        n_inputs: How many of a frame's samples are inputs; two more are the mix.
        rate_hz: Sample rate in Hz.
        start: First frame of the mix that belongs to the stretch.
        stop: The frame after the last.
        mix_gain: What the mix in the file is multiplied by, linear.
    """

    item: str
    path: Path
    n_inputs: int
    rate_hz: int
    start: int
    stop: int
    mix_gain: float = 1.0

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return self.stop - self.start

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate_hz

    def inputs(self, first: int, n_frames: int) -> FloatArray:
        """Inputs (inputs, frames) from a frame of the stretch on, counted from its start.

        What lies around the stretch is heard too; before and after the session is silence.
        """
        return self._frames(first, n_frames)[:, : self.n_inputs].T

    def mix(self, first: int, n_frames: int) -> FloatArray:
        """The mix (2, frames) from a frame of the stretch on, counted from its start."""
        return self._frames(first, n_frames)[:, self.n_inputs :].T * np.float32(self.mix_gain)

    def _frames(self, first: int, n_frames: int) -> FloatArray:
        width = self.n_inputs + 2
        begin = first + self.start
        n_before = max(0, -begin)
        frames = np.zeros((n_frames, width), FRAME_DTYPE)
        try:
            read = np.fromfile(
                self.path,
                FRAME_DTYPE,
                count=max(0, n_frames - n_before) * width,
                offset=max(0, begin) * width * FRAME_DTYPE.itemsize,
            ).reshape(-1, width)
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.path} was changed while training ({error})") from None
        frames[n_before : n_before + read.shape[0]] = read
        return frames


@dataclass(frozen=True)
class SessionClips(ItemClips):
    """Stretches of sessions, and how clips are cut from them.

    Args:
        items: The stretches, each at least as long as a clip.
        config: Geometry of the network.
        settings: Length, disturbance and level of the clips.
    """

    items: tuple[Stretch, ...]
    config: WaveUNetConfig
    settings: ClipSettings

    def n_samples_of(self, index: int) -> int:
        """Length of a stretch in samples."""
        return self.items[index].n_samples

    def name_of(self, index: Any) -> str:
        """Name of a stretch's session."""
        return self.items[index].item

    def clip(self, index: Any, start: int, change: ClipChange = UNCHANGED) -> tuple[Tensor, Tensor]:
        """The clip of a stretch whose target starts at sample `start`.

        No target hangs over an end: beyond it, the mix is another one's or held out.

        Args:
            index: Number of the stretch.
            start: First sample of the target.
            change: What happens to the stems.
        """
        stretch = self.items[index]
        start = max(0, min(start, stretch.n_samples - self.output_frames))
        first = start - self.config.context_frames - change.margin
        inputs = stretch.inputs(first, self.input_frames + 2 * change.margin)
        stems = change.apply(inputs, stretch.rate_hz)
        mix = np.ascontiguousarray(stretch.mix(start, self.output_frames))
        return torch.from_numpy(np.ascontiguousarray(stems)), torch.from_numpy(mix)
