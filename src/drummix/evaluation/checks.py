"""Checks of two signals that are to be compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drummix.effects.checks import checked_samples
from drummix.errors import SettingError

FloatArray = NDArray[np.float32]


def checked_pair(
    estimate: ArrayLike, target: ArrayLike, *, min_samples: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Return a mix and what it should be as float32 arrays of one shape.

    Args:
        estimate: The mix, (channels, samples).
        target: What it should be, the same shape.
        min_samples: Shortest length that can be compared.

    Raises:
        SettingError: If the shapes are not (channels, samples), differ, or are too short.
    """
    mix = checked_samples(estimate, name="the mix")
    reference = checked_samples(target, name="the reference")
    if mix.shape != reference.shape:
        raise SettingError(
            "estimate",
            mix.shape,
            "give (channels, samples) of one channel count and length",
            problem=f"has shape {mix.shape} but the target {reference.shape}",
        )
    if mix.shape[1] < min_samples:
        raise SettingError(
            "estimate",
            mix.shape,
            f"give at least {min_samples} to compare",
            problem=f"has {mix.shape[1]} samples",
        )
    return mix, reference
