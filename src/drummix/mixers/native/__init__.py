"""The Wave-U-Net computed by drummix itself: BLAS for the products, numba for what is around them.

Belongs here: convolutions with fewer multiplications, and the network as a stream that keeps what
each layer will hear again. Does not belong here: how much memory to use (see
`drummix.mixers.compute`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drummix.mixers.compute import Compute, Resources, resolve_compute
from drummix.mixers.weights import Model

if TYPE_CHECKING:
    from drummix.mixers.native.network import NativeNetwork


def load_network(model: Model, resources: Resources | None = None) -> NativeNetwork:
    """Make a network ready to run.

    Args:
        model: Its sizes and weights.
        resources: What it uses, as `drummix.mixers.compute.resolve_compute` decides; None for the
            default.
    """
    from drummix.mixers.native.network import NativeNetwork  # numba takes long to load

    if resources is None:
        resources = resolve_compute(Compute(), model.config)
    return NativeNetwork(
        model.config, model.tensors, threads=resources.threads, hop_frames=resources.hop_frames
    )
