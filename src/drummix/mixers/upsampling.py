"""Upsampling by two and a five-tap convolution as two short convolutions at the low rate.

Midpoints are linear, so the even frames of the result are a convolution of the low-rate map with
three taps, and the odd ones another with four; nothing is computed at the high rate but their sum
with what comes over the skip connection.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kernel = TypeVar("Kernel", NDArray[np.float32], NDArray[np.float64])


def even_kernel(kernel: Kernel) -> Kernel:
    """Low-rate kernel (out, in, 3) of the even frames of upsampling, then `kernel` (out, in, 5)."""
    a, b, c, d, e = np.moveaxis(kernel, -1, 0)
    return np.stack([a + b / 2, b / 2 + c + d / 2, d / 2 + e], axis=-1)


def odd_kernel(kernel: Kernel) -> Kernel:
    """Low-rate kernel (out, in, 4) of the odd frames of upsampling, then `kernel` (out, in, 5)."""
    a, b, c, d, e = np.moveaxis(kernel, -1, 0)
    return np.stack([a / 2, a / 2 + b + c / 2, c / 2 + d + e / 2, e / 2], axis=-1)
