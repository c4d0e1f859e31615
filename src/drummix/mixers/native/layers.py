"""The layers of the Wave-U-Net on float32 maps (frames, channels), and the threads they share.

A layer is cut into blocks whose size does not depend on the number of threads, so that every
product of matrices, and with it every bit of the result, is the same for any number of them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from drummix.mixers.native import short_convolution as short
from drummix.mixers.native.short_convolution import N_SPREAD_7, N_SPREAD_8, FloatArray
from drummix.mixers.upsampling import even_kernel, odd_kernel

DoubleArray = NDArray[np.float64]

MOST_TILES = 512
"""Tiles of a block at most: its maps stay in the processor's cache."""

_LEAST_TILES = 32
_BLOCKS = 8
"""A layer is cut into this many blocks where that leaves each enough tiles to work well."""


class Scratch(threading.local):
    """Memory of a thread for the maps of one block, used again by every block."""

    def __init__(self) -> None:
        self._slots: dict[str, FloatArray] = {}

    def take(self, slot: str, shape: tuple[int, ...]) -> FloatArray:
        """An array that holds whatever was left in it."""
        size = math.prod(shape)
        if slot not in self._slots or self._slots[slot].size < size:
            self._slots[slot] = np.empty(size, np.float32)
        return self._slots[slot][:size].reshape(shape)


class Team:
    """Threads that work on the blocks of one layer at a time.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self.scratch = Scratch()
        self._n_others = threads - 1
        self._others = ThreadPoolExecutor(threads - 1, "drummix") if threads > 1 else None

    def each(self, work: Callable[[int, int], None], n_tiles: int) -> None:
        """Call `work` with the first tile and the number of tiles of every block."""
        size = block_tiles(n_tiles)
        # Whoever is done with a block takes the next one; the caller works too.
        firsts = iter(range(0, n_tiles, size))

        def run() -> None:
            for first in firsts:
                work(first, min(size, n_tiles - first))

        n_helping = min(self._n_others, -(-n_tiles // size) - 1)
        helping = [self._others.submit(run) for _ in range(n_helping)] if self._others else []
        try:
            run()
        finally:
            wait(helping)
        for other in helping:
            other.result()  # raises what it raised


def block_tiles(n_tiles: int) -> int:
    """Tiles of a block of a layer of `n_tiles`."""
    return min(MOST_TILES, max(_LEAST_TILES, -(-n_tiles // _BLOCKS)))


class DownLayer:
    """A convolution of a downsampling block, or the bottleneck's, and its LeakyReLU.

    Args:
        kernel: (out, in, taps).
        bias: (out,).
        slope: Slope of the LeakyReLU for negative values.
    """

    def __init__(self, kernel: FloatArray, bias: FloatArray, slope: float) -> None:
        self._parts = short.n_parts(kernel.shape[2])
        self._matrices = short.spread_kernel_7(kernel)[:, np.newaxis]
        self._bias, self._slope = bias, np.float32(slope)

    def run(
        self,
        team: Team,
        source: FloatArray,
        *,
        row: int,
        step: int,
        target: FloatArray,
        first: int,
        n_rows: int,
    ) -> None:
        """Write `n_rows` rows of `target` from `first`.

        Args:
            team: Who works.
            source: Map (frames, in).
            row: Row of `source` under the first tap of the first result.
            step: Rows of `source` from one tap, and one result, to the next.
            target: Map (frames, out).
            first: Its first row to write.
            n_rows: How many.
        """
        parts, matrices = self._parts, self._matrices
        width, n_out = matrices.shape[2:]
        n_in = width // parts

        def work(tile: int, n_tiles: int) -> None:
            # Tile t hears the combinations of tiles t to t + parts - 1, which lie one after the
            # other: every `parts`-th tile makes rows of a matrix, without a copy.
            n_each = -(-n_tiles // parts)
            n_spread = parts * n_each + parts - 1
            spread = team.scratch.take("spread", (N_SPREAD_7, n_spread, n_in))
            short.spread_7(source, row + 4 * step * tile, step, n_spread, spread)
            size = spread.itemsize
            heard = np.ndarray(
                (N_SPREAD_7, parts, n_each, width),
                np.float32,
                spread.data,
                strides=(n_spread * n_in * size, n_in * size, width * size, size),
            )
            products = team.scratch.take("products", (N_SPREAD_7, parts, n_each, n_out))
            np.matmul(heard, matrices, out=products)
            rows = min(n_rows - 4 * tile, 4 * n_tiles)
            short.gather_down(products, self._bias, self._slope, rows, target, first + 4 * tile)

        team.each(work, -(-n_rows // 4))

    def of_silence(self, source: DoubleArray) -> DoubleArray:
        """What it gives for a map that never changes, (in,) to (out,)."""
        # The second matrix of a kernel is the sum of its taps over six.
        summed = 6.0 * self._matrices[1, 0].reshape(self._parts, source.size, -1).sum(axis=0)
        return _leaky(source @ summed + self._bias, float(self._slope))


class UpLayer:
    """An upsampling block: upsample by two, join the skip connection, convolve, LeakyReLU.

    Args:
        kernel: (out, skip inputs + inputs from below, 5).
        bias: (out,).
        slope: Slope of the LeakyReLU for negative values.
        n_skip: Number of skip inputs.
    """

    def __init__(self, kernel: FloatArray, bias: FloatArray, slope: float, n_skip: int) -> None:
        from_skip, from_below = kernel[:, :n_skip], kernel[:, n_skip:].astype(np.float64)
        even = np.pad(even_kernel(from_below), ((0, 0), (0, 0), (0, 1)))
        self._skip_matrices = short.spread_kernel_8(from_skip)
        self._below_matrices = short.spread_kernel_7(np.concatenate([even, odd_kernel(from_below)]))
        self._bias, self._slope = bias, np.float32(slope)

    def run(
        self,
        team: Team,
        below: FloatArray,
        skip: FloatArray,
        *,
        skip_row: int,
        target: FloatArray,
        first: int,
        n_pairs: int,
    ) -> None:
        """Write `n_pairs` pairs of rows of `target` from `first`.

        Args:
            team: Who works.
            below: Map (frames, inputs from below); its first row is under the first tap.
            skip: Map (frames, skip inputs).
            skip_row: Row of `skip` under the first tap of the first result.
            target: Map (frames, out).
            first: Its first row to write.
            n_pairs: How many pairs of rows.
        """
        n_skip, n_out = self._skip_matrices.shape[1:]
        n_below = below.shape[1]
        take = team.scratch.take

        def work(tile: int, n_tiles: int) -> None:
            spread = take("spread", (N_SPREAD_7, n_tiles, n_below))
            short.spread_7(below, 4 * tile, 1, n_tiles, spread)
            from_below = take("products", (N_SPREAD_7, n_tiles, 2 * n_out))
            np.matmul(spread, self._below_matrices, out=from_below)
            spread = take("spread", (N_SPREAD_8, 2 * n_tiles, n_skip))
            short.spread_8(skip, skip_row + 8 * tile, 2 * n_tiles, spread)
            from_skip = take("skipped", (N_SPREAD_8, 2 * n_tiles, n_out))
            np.matmul(spread, self._skip_matrices, out=from_skip)
            pairs = min(n_pairs - 4 * tile, 4 * n_tiles)
            short.gather_up(
                from_skip, from_below, self._bias, self._slope, pairs, target, first + 8 * tile
            )

        team.each(work, -(-n_pairs // 4))

    def of_silence(self, below: DoubleArray, skip: DoubleArray) -> DoubleArray:
        """What it gives for maps that never change, (in,) to (out,)."""
        n_out = self._bias.size
        from_below = below @ (6.0 * self._below_matrices[1, :, :n_out])
        from_skip = skip @ (18.0 * self._skip_matrices[1])
        return _leaky(from_below + from_skip + self._bias, float(self._slope))


def _leaky(values: DoubleArray, slope: float) -> DoubleArray:
    return np.maximum(values, slope * values)
