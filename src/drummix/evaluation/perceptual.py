"""A model of hearing beside the plain metrics; optional, offline, from a wheel.

Zimtohrli compares two sounds through a filter bank and masking, near the limits of hearing.
It was made for coded audio and knows no stereo: each channel is compared by itself.
Source: https://github.com/google/zimtohrli, version 2 of its model.
"""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import ArrayLike

from drummix.audio import resample
from drummix.errors import MissingExtraError
from drummix.evaluation.checks import checked_pair
from drummix.evaluation.measuring import Metric

ZIMTOHRLI = Metric("zimtohrli", "Zimtohrli distance", 4, "lower")

_RATE_HZ = 48_000


def zimtohrli_distance(estimate: ArrayLike, target: ArrayLike, rate_hz: int) -> float:
    """Zimtohrli's distance of a mix from its reference, mean over the channels.

    Args:
        estimate: The mix, (channels, samples), level-matched where level is not the question.
        target: What it should be, the same shape.
        rate_hz: Sample rate in Hz of both; resampled to 48 kHz.

    Returns:
        0 for equal sounds, rising to 1.

    Raises:
        MissingExtraError: If the model is not installed.
    """
    mix, reference = checked_pair(estimate, target)
    try:
        model = importlib.import_module("zimtohrli").Pyohrli()
    except ImportError:
        raise MissingExtraError("Zimtohrli's model of hearing", "perceptual") from None
    pair = [resample(samples, rate_hz, _RATE_HZ) for samples in (mix, reference)]
    distances = [
        model.distance(np.ascontiguousarray(of_mix), np.ascontiguousarray(of_target))
        for of_mix, of_target in zip(*pair, strict=True)
    ]
    return float(np.mean(distances))
