"""Convolutions with fewer multiplications, on float32 maps (frames, channels).

Four outputs of a convolution with r taps need 4 r multiplications a pair of channels when they are
computed one by one, and r + 3 when they are computed together: the Toom-Cook (Winograd) scheme.
Seven frames are spread to seven combinations, each is multiplied by a matrix of its own, and the
products are gathered to four outputs. With 4 taps: 7 products for 16, with 5 taps: 8 for 20. A
longer kernel is a sum of kernels of 4 taps, and the combinations of one serve the next.

The points are 0, 1, -1, 2, -2, 1/2 (with 5 taps also -1/2) and infinity; rounding is about twice
that of a plain convolution in float32.

Source: Winograd, Arithmetic Complexity of Computations, SIAM 1980; Lavin and Gray, CVPR 2016.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

TILE = 4
"""Outputs that are computed together."""

N_SPREAD_7, N_SPREAD_8 = 7, 8
"""Combinations for 4 taps and for 5 taps."""

_KERNEL_7 = np.array(
    [
        [1 / 4, 0, 0, 0],
        [1 / 6, 1 / 6, 1 / 6, 1 / 6],
        [1 / 18, -1 / 18, 1 / 18, -1 / 18],
        [1 / 72, 1 / 36, 1 / 18, 1 / 9],
        [1 / 120, -1 / 60, 1 / 30, -1 / 15],
        [1 / 45, 1 / 90, 1 / 180, 1 / 360],
        [0, 0, 0, 1 / 2],
    ]
)
_KERNEL_8 = np.array(
    [
        [1 / 4, 0, 0, 0, 0],
        [1 / 18, 1 / 18, 1 / 18, 1 / 18, 1 / 18],
        [1 / 18, -1 / 18, 1 / 18, -1 / 18, 1 / 18],
        [1 / 360, 1 / 180, 1 / 90, 1 / 45, 2 / 45],
        [1 / 360, -1 / 180, 1 / 90, -1 / 45, 2 / 45],
        [1 / 45, 1 / 90, 1 / 180, 1 / 360, 1 / 720],
        [1 / 45, -1 / 90, 1 / 180, -1 / 360, 1 / 720],
        [0, 0, 0, 0, 1 / 4],
    ]
)
# Products may be fused with sums: that only makes them more exact.
_compiled = njit(cache=True, nogil=True, fastmath={"contract", "nsz"})


def n_parts(n_taps: int) -> int:
    """Kernels of four taps that a kernel of `n_taps` is a sum of."""
    return -(-n_taps // 4)


def spread_kernel_7(kernel: NDArray[np.floating]) -> FloatArray:
    """A kernel (out, in, taps) as the matrices (7, `n_parts` * in, out) of its combinations."""
    n_out, n_in, n_taps = kernel.shape
    parts = n_parts(n_taps)
    padded = np.pad(kernel.astype(np.float64), ((0, 0), (0, 0), (0, 4 * parts - n_taps)))
    taps = padded.reshape(n_out, n_in, parts, 4)
    spread = np.empty((N_SPREAD_7, parts, n_in, n_out), np.float32)
    for row, matrix in zip(_KERNEL_7, spread, strict=True):
        matrix[:] = (taps @ row).transpose(2, 1, 0)
    return spread.reshape(N_SPREAD_7, parts * n_in, n_out)


def spread_kernel_8(kernel: NDArray[np.floating]) -> FloatArray:
    """A kernel (out, in, 5) as the matrices (8, in, out) of its combinations."""
    n_out, n_in, _ = kernel.shape
    spread = np.empty((N_SPREAD_8, n_in, n_out), np.float32)
    for row, matrix in zip(_KERNEL_8, spread, strict=True):
        matrix[:] = (kernel.astype(np.float64) @ row).T
    return spread


@_compiled
def spread_7(source: FloatArray, first: int, step: int, n_tiles: int, spread: FloatArray) -> None:
    """Fill `spread` (7, tiles, channels) with the combinations of 7 rows of `source` each.

    Those of tile t begin at row `first` + 4 t `step` and lie `step` apart; behind the end the last
    row is heard again.
    """
    last, n_channels = source.shape[0] - 1, source.shape[1]
    f = np.float32
    for tile in range(n_tiles):
        row = first + 4 * step * tile
        x0 = source[min(row, last)]
        x1 = source[min(row + step, last)]
        x2 = source[min(row + 2 * step, last)]
        x3 = source[min(row + 3 * step, last)]
        x4 = source[min(row + 4 * step, last)]
        x5 = source[min(row + 5 * step, last)]
        x6 = source[min(row + 6 * step, last)]
        # One loop a combination: the compiler makes vector code of loops that are this simple.
        to = spread[0, tile]
        for c in range(n_channels):
            to[c] = (
                f(4) * x0[c] - f(8) * x1[c] - f(5) * x2[c] + f(10) * x3[c] + x4[c] - f(2) * x5[c]
            )
        to = spread[1, tile]
        for c in range(n_channels):
            to[c] = f(4) * (x2[c] - x1[c]) + f(9) * x3[c] - x4[c] - f(2) * x5[c]
        to = spread[2, tile]
        for c in range(n_channels):
            to[c] = f(12) * x2[c] - f(4) * x1[c] - f(7) * x3[c] - f(3) * x4[c] + f(2) * x5[c]
        to = spread[3, tile]
        for c in range(n_channels):
            to[c] = f(2) * (x1[c] + x5[c]) + f(3) * (x4[c] - x2[c]) - f(4) * x3[c]
        to = spread[4, tile]
        for c in range(n_channels):
            to[c] = f(2) * (x1[c] - x5[c]) + f(5) * (x4[c] - x2[c])
        to = spread[5, tile]
        for c in range(n_channels):
            to[c] = f(128) * x1[c] - f(160) * x3[c] + f(32) * x5[c]
        to = spread[6, tile]
        for c in range(n_channels):
            to[c] = (
                f(8) * x2[c] - f(4) * x1[c] + f(5) * x3[c] - f(10) * x4[c] - x5[c] + f(2) * x6[c]
            )


@_compiled
def spread_8(source: FloatArray, first: int, n_tiles: int, spread: FloatArray) -> None:
    """Fill `spread` (8, tiles, channels) with the combinations of 8 rows of `source` each.

    Those of tile t begin at row `first` + 4 t; behind the end the last row is heard again.
    """
    last, n_channels = source.shape[0] - 1, source.shape[1]
    f = np.float32
    for tile in range(n_tiles):
        row = first + 4 * tile
        x0, x1 = source[min(row, last)], source[min(row + 1, last)]
        x2, x3 = source[min(row + 2, last)], source[min(row + 3, last)]
        x4, x5 = source[min(row + 4, last)], source[min(row + 5, last)]
        x6, x7 = source[min(row + 6, last)], source[min(row + 7, last)]
        to, fro = spread[0, tile], spread[7, tile]
        for c in range(n_channels):
            to[c] = f(4) * (x0[c] - x6[c]) + f(21) * (x4[c] - x2[c])
        for c in range(n_channels):
            fro[c] = f(4) * (x7[c] - x1[c]) + f(21) * (x3[c] - x5[c])
        to, fro = spread[1, tile], spread[2, tile]
        for c in range(n_channels):
            even = f(17) * x4[c] - f(4) * (x2[c] + x6[c])
            odd = f(17) * x3[c] - f(4) * (x1[c] + x5[c])
            to[c], fro[c] = even + odd, even - odd
        to, fro = spread[3, tile], spread[4, tile]
        for c in range(n_channels):
            even = x2[c] - f(5) * x4[c] + f(4) * x6[c]
            odd = f(2) * x1[c] - f(10) * x3[c] + f(8) * x5[c]
            to[c], fro[c] = even + odd, even - odd
        to, fro = spread[5, tile], spread[6, tile]
        for c in range(n_channels):
            even = f(128) * x2[c] - f(160) * x4[c] + f(32) * x6[c]
            odd = f(64) * x1[c] - f(80) * x3[c] + f(16) * x5[c]
            to[c], fro[c] = even + odd, even - odd


@_compiled
def gather_down(
    products: FloatArray,
    bias: FloatArray,
    slope: np.float32,
    n_rows: int,
    target: FloatArray,
    first: int,
) -> None:
    """Write `n_rows` rows of `target` from `first`: a convolution, its bias and LeakyReLU.

    `products` are (7, parts, tiles, out), where tile t lies at [t % parts, t // parts].
    """
    parts, n_out = products.shape[1], products.shape[3]
    f = np.float32
    for tile in range((n_rows + 3) // 4):
        at, part = tile // parts, tile % parts
        m0, m1, m2 = products[0, part, at], products[1, part, at], products[2, part, at]
        m3, m4, m5 = products[3, part, at], products[4, part, at], products[5, part, at]
        m6 = products[6, part, at]
        row, left = first + 4 * tile, n_rows - 4 * tile
        to = target[row]
        for c in range(n_out):
            a = bias[c] + m0[c] + m1[c] + m2[c] + m3[c] + m4[c] + m5[c]
            to[c] = max(a, slope * a)
        if left > 1:
            to = target[row + 1]
            for c in range(n_out):
                a = bias[c] + m1[c] - m2[c] + f(2) * (m3[c] - m4[c]) + f(0.5) * m5[c]
                to[c] = max(a, slope * a)
        if left > 2:
            to = target[row + 2]
            for c in range(n_out):
                a = bias[c] + m1[c] + m2[c] + f(4) * (m3[c] + m4[c]) + f(0.25) * m5[c]
                to[c] = max(a, slope * a)
        if left > 3:
            to = target[row + 3]
            for c in range(n_out):
                a = bias[c] + m1[c] - m2[c] + f(8) * (m3[c] - m4[c]) + f(0.125) * m5[c] + m6[c]
                to[c] = max(a, slope * a)


@_compiled
def gather_up(
    skipped: FloatArray,
    below: FloatArray,
    bias: FloatArray,
    slope: np.float32,
    n_pairs: int,
    target: FloatArray,
    first: int,
) -> None:
    """Write `n_pairs` pairs of rows of `target` from `first`, the sum of two convolutions.

    `skipped` (8, 2 tiles, out) are products of 5 taps at the rate of `target`; `below`
    (7, tiles, 2 out) those of 4 taps at half of it, even rows of `target` first, then odd ones.
    """
    n_out = skipped.shape[2]
    for pair in range(n_pairs):
        for odd in range(2):
            to = target[first + 2 * pair + odd]
            start = n_out * odd
            _add_below(below[:, pair // 4, start : start + n_out], pair % 4, bias, to)
            _add_skipped(skipped[:, pair // 2], 2 * (pair % 2) + odd, slope, to)


@njit(inline="always")
def _add_below(m: FloatArray, output: int, bias: FloatArray, to: FloatArray) -> None:
    f, n = np.float32, to.shape[0]
    if output == 0:
        for c in range(n):
            to[c] = bias[c] + m[0, c] + m[1, c] + m[2, c] + m[3, c] + m[4, c] + m[5, c]
    elif output == 1:
        for c in range(n):
            to[c] = bias[c] + m[1, c] - m[2, c] + f(2) * (m[3, c] - m[4, c]) + f(0.5) * m[5, c]
    elif output == 2:
        for c in range(n):
            to[c] = bias[c] + m[1, c] + m[2, c] + f(4) * (m[3, c] + m[4, c]) + f(0.25) * m[5, c]
    else:
        for c in range(n):
            a = bias[c] + m[1, c] - m[2, c] + f(8) * (m[3, c] - m[4, c]) + f(0.125) * m[5, c]
            to[c] = a + m[6, c]


@njit(inline="always")
def _add_skipped(m: FloatArray, output: int, slope: np.float32, to: FloatArray) -> None:
    f, n = np.float32, to.shape[0]
    if output == 0:
        for c in range(n):
            a = to[c] + m[0, c] + m[1, c] + m[2, c] + m[3, c] + m[4, c] + m[5, c] + m[6, c]
            to[c] = max(a, slope * a)
    elif output == 1:
        for c in range(n):
            a = to[c] + m[1, c] - m[2, c] + f(2) * (m[3, c] - m[4, c])
            a += f(0.5) * (m[5, c] - m[6, c])
            to[c] = max(a, slope * a)
    elif output == 2:
        for c in range(n):
            a = to[c] + m[1, c] + m[2, c] + f(4) * (m[3, c] + m[4, c])
            a += f(0.25) * (m[5, c] + m[6, c])
            to[c] = max(a, slope * a)
    else:
        for c in range(n):
            a = to[c] + m[1, c] - m[2, c] + f(8) * (m[3, c] - m[4, c])
            a += f(0.125) * (m[5, c] - m[6, c]) + m[7, c]
            to[c] = max(a, slope * a)
