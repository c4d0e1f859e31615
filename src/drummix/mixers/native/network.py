"""A whole Wave-U-Net over a stream of any length, every frame of every layer computed once.

In: microphones (inputs, frames). Out: the mix (2, frames), that of one long pass. Before a session
there is silence, and what the layers give for silence is known; so nothing is computed but the
session itself and the context behind its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.native.geometry import BELOW_HISTORY, Geometry
from drummix.mixers.native.layers import DownLayer, Team, UpLayer
from drummix.mixers.segments import Window

FloatArray = NDArray[np.float32]


class NativeNetwork:
    """A Wave-U-Net ready to run.

    Args:
        config: Its size.
        tensors: Its weights by name, float32.
        threads: Threads that share the work; the result is the same for any number.
        hop_frames: Frames of a push; a multiple of the network's decimation.
    """

    def __init__(
        self,
        config: WaveUNetConfig,
        tensors: Mapping[str, FloatArray],
        *,
        threads: int,
        hop_frames: int,
    ) -> None:
        self._config, self._hop_frames = config, hop_frames
        self._geometry = Geometry.of(config)
        slope = config.leaky_slope
        names = [*(f"down.{level}" for level in range(config.levels)), "bottleneck"]
        self._down = [
            DownLayer(tensors[f"{name}.weight"], tensors[f"{name}.bias"], slope) for name in names
        ]
        self._up = [
            UpLayer(tensors[f"up.{depth}.weight"], tensors[f"up.{depth}.bias"], slope, n_skip)
            for depth, (n_skip, _, _) in enumerate(config.up_shapes())
        ]
        output = np.ascontiguousarray(tensors["output.weight"][:, :, 0].T)
        self._from_stems, self._from_features = np.split(output, [config.n_inputs])
        self._bias = tensors["output.bias"]
        self._team = Team(threads)
        # The threads are ours: a product of matrices must not start others.
        self._blas = ThreadpoolController()

    def __call__(self, stems: FloatArray) -> FloatArray:
        """One segment: (inputs, frames) to (outputs, `config.output_frames(frames)`)."""
        n_output = self._config.output_frames(stems.shape[1])
        delay = self._geometry.delay
        pushed = self._pushes(lambda start, end: _cut(stems, start, end), n_output + delay)
        return np.concatenate(list(_part(pushed, delay, n_output)), axis=1)

    def stream(self, blocks: Iterator[FloatArray], n_frames: int) -> Iterator[FloatArray]:
        """A session, silent before and after.

        Args:
            blocks: Its frames, blocks (inputs, frames).
            n_frames: How many they are together.

        Yields:
            The mix, blocks (outputs, frames), `n_frames` together.
        """
        config = self._config
        # The stream starts where a decimation step does, so that it decimates as one pass would.
        n_skipped = config.context_frames // config.decimation * config.decimation
        n_silent = config.context_frames - n_skipped
        window = Window(blocks, config.n_inputs)
        delay = self._geometry.delay - n_skipped
        pushed = self._pushes(
            lambda start, end: window.cut(start - n_silent, end - n_silent), n_frames + delay
        )
        return _part(pushed, delay, n_frames)

    @cached_property
    def answer_to_silence(self) -> FloatArray:
        """What it gives for silence (outputs, 1): a constant, for it is the same at every frame."""
        frames = self._config.input_frames(self._config.min_bottleneck_frames)
        return self(np.zeros((self._config.n_inputs, frames), np.float32))[:, :1]

    def _pushes(self, cut: Callable[[int, int], FloatArray], n_frames: int) -> Iterator[FloatArray]:
        """Push at least `n_frames` of a stream, of which `cut` gives frames from start to end."""
        decimation = self._config.decimation
        n_all = -(-n_frames // decimation) * decimation
        hop = min(self._hop_frames, n_all)
        maps = self._silent_maps(hop)
        for start in range(0, n_all, hop):
            stems = cut(start, min(start + hop, n_all))
            with self._blas.limit(limits=1, user_api="blas"):
                mix = self._push(maps, stems)
            yield mix

    def _silent_maps(self, hop: int) -> _Maps:
        """Maps for pushes of up to `hop` frames that have heard nothing but silence."""
        config, geometry = self._config, self._geometry
        level_of_silence = np.zeros(config.n_inputs)
        stems = np.zeros((geometry.input_history + hop, config.n_inputs), np.float32)
        skips, silences = [], []
        for level, layer in enumerate(self._down):
            level_of_silence = layer.of_silence(level_of_silence)
            silences.append(level_of_silence)
            if level < config.levels:
                history = geometry.histories[level]
                skips.append(_kept(level_of_silence, history, history + (hop >> level)))
        below = []
        for depth, up_layer in enumerate(self._up):
            n_frames = BELOW_HISTORY + (hop >> (config.levels - depth))
            below.append(_kept(level_of_silence, BELOW_HISTORY, n_frames))
            level_of_silence = up_layer.of_silence(level_of_silence, silences[-2 - depth])
        features = np.empty((hop, level_of_silence.size), np.float32)
        return _Maps(stems, skips, below, features)

    def _push(self, maps: _Maps, stems: FloatArray) -> FloatArray:
        """The next frames of the mix (outputs, frames), as many as `stems` (inputs, frames) has."""
        geometry, levels, hop = self._geometry, self._config.levels, stems.shape[1]
        maps.stems[geometry.input_history : geometry.input_history + hop] = stems.T
        for level, layer in enumerate(self._down):
            is_bottleneck = level == levels
            layer.run(
                self._team,
                maps.skips[level - 1] if level else maps.stems,
                row=geometry.down_row(level),
                step=2 if level else 1,
                target=maps.below[0] if is_bottleneck else maps.skips[level],
                first=BELOW_HISTORY if is_bottleneck else geometry.histories[level],
                n_rows=hop >> level,
            )
        for depth, up_layer in enumerate(self._up):
            is_last = depth == levels - 1
            up_layer.run(
                self._team,
                maps.below[depth],
                maps.skips[levels - 1 - depth],
                skip_row=geometry.skip_rows[depth],
                target=maps.features if is_last else maps.below[depth + 1],
                first=0 if is_last else BELOW_HISTORY,
                n_pairs=hop >> (levels - depth),
            )
        centre = geometry.input_history - geometry.delay + self._config.context_frames
        mix = maps.stems[centre : centre + hop] @ self._from_stems
        mix += maps.features[:hop] @ self._from_features
        maps.forget(hop, geometry)
        # Along the samples: along the two outputs the sum takes five times as long.
        return np.add(mix.T, self._bias[:, np.newaxis], order="C")


@dataclass(frozen=True, eq=False)
class _Maps:
    """What a stream's layers gave: what they keep of their past, then room for a push.

    Args:
        stems: The input.
        skips: Output of each downsampling block.
        below: Map that each upsampling block upsamples, deepest first.
        features: Output of the last upsampling block; nothing of it is kept.
    """

    stems: FloatArray
    skips: list[FloatArray]
    below: list[FloatArray]
    features: FloatArray

    def forget(self, hop: int, geometry: Geometry) -> None:
        """Move what is kept to the start, after a push of `hop` frames."""
        levels = len(self.skips)
        kept = [(self.stems, geometry.input_history, hop)]
        kept += [(self.skips[n], geometry.histories[n], hop >> n) for n in range(levels)]
        kept += [(self.below[n], BELOW_HISTORY, hop >> (levels - n)) for n in range(levels)]
        for frames, history, n_pushed in kept:
            frames[:history] = frames[n_pushed : n_pushed + history].copy()


def _kept(frame: NDArray[np.float64], history: int, n_frames: int) -> FloatArray:
    """A map (n_frames, channels) whose first `history` frames are all `frame`."""
    frames = np.empty((n_frames, frame.size), np.float32)
    frames[:history] = frame
    return frames


def _cut(stems: FloatArray, start: int, end: int) -> FloatArray:
    """Frames from start to end, zeros behind the last."""
    piece = stems[:, start:end]
    return np.pad(piece, ((0, 0), (0, end - start - piece.shape[1])))


def _part(blocks: Iterator[FloatArray], first: int, n_frames: int) -> Iterator[FloatArray]:
    """Frames `first` to `first` + `n_frames` of a stream of blocks."""
    position = 0
    for block in blocks:
        piece = block[:, max(0, first - position) : max(0, first + n_frames - position)]
        position += block.shape[1]
        if piece.shape[1]:
            yield piece
