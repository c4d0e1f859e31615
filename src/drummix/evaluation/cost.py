"""What a Wave-U-Net costs: multiply-adds by layer, and how many a machine does in a second."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from drummix.mixers.architecture import WaveUNetConfig

_SIDE = 1536
"""Of the square matrices that the rate is measured with."""


@dataclass(frozen=True)
class LayerCost:
    """Multiply-adds of one layer for one sample of the mix, context left out.

    Args:
        name: Name of the layer's weights.
        plain: As the paper draws it: upsample, concatenate, convolve.
        split: With two short convolutions in place of the upsampled map.
        native: As drummix computes it: of these, 7 or 8 products for four outputs.
    """

    name: str
    plain: float
    split: float
    native: float


def layer_costs(config: WaveUNetConfig) -> tuple[LayerCost, ...]:
    """The cost of every layer, in the order of the forward pass."""
    taps = config.down_taps
    # Seven products for every four taps and four outputs.
    native_taps = 7 * -(-taps // 4) / 4
    costs = []
    shapes = [*config.down_shapes(), config.bottleneck_shape()]
    for level, (n_in, n_out) in enumerate(shapes):
        pairs = n_in * n_out / 2**level
        name = f"down.{level}" if level < config.levels else "bottleneck"
        costs.append(LayerCost(name, taps * pairs, taps * pairs, native_taps * pairs))
    for depth, (n_skip, n_below, n_out) in enumerate(config.up_shapes()):
        rate = n_out / 2 ** (config.levels - 1 - depth)
        costs.append(
            LayerCost(
                f"up.{depth}",
                plain=5 * (n_skip + n_below) * rate,
                split=(5 * n_skip + 3.5 * n_below) * rate,
                native=(2 * n_skip + 1.75 * n_below) * rate,
            )
        )
    n_in, n_out = config.output_shape()
    return (*costs, LayerCost("output", *3 * [float(n_in * n_out)]))


def gemm_rate(threads: int, repeats: int = 5) -> float:
    """Multiply-adds a second of numpy's products of float32 matrices; the best of `repeats`."""
    first, second = np.ones((2, _SIDE, _SIDE), np.float32)
    product = np.empty_like(first)
    best_s = np.inf
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(repeats):
            start_s = time.perf_counter()
            np.matmul(first, second, out=product)
            best_s = min(best_s, time.perf_counter() - start_s)
    return float(_SIDE**3 / best_s)
