"""Placing a mono track between two loudspeakers.

In: mono float32 samples. Out: stereo float32 samples (2, N).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from drummix.effects.checks import FloatArray, checked_range, checked_samples
from drummix.errors import SettingError

PanLaw = Literal["constant_power", "linear"]


def pan_gains(position: float, *, law: PanLaw = "constant_power") -> tuple[float, float]:
    """Linear gains of the left and right channel for a pan position.

    Args:
        position: -1.0 is hard left, 0.0 the centre, 1.0 hard right.
        law: "constant_power" (sine and cosine, -3 dB in the centre) keeps the summed power
            constant; "linear" (-6 dB in the centre) keeps the mono sum constant.

    Returns:
        (left gain, right gain), each from 0.0 to 1.0.

    Raises:
        SettingError: If the position is outside -1..1 or the law is unknown.

    >>> pan_gains(0.0, law="linear")
    (0.5, 0.5)
    """
    right_share = (1.0 + checked_range("position", position, -1.0, 1.0)) / 2.0
    if law == "constant_power":
        # sin of the complement, not cos: hard right is then exactly silent on the left.
        return (
            math.sin((1.0 - right_share) * math.pi / 2.0),
            math.sin(right_share * math.pi / 2.0),
        )
    if law == "linear":
        return 1.0 - right_share, right_share
    raise SettingError("law", law, "use constant_power or linear")


def pan(mono: ArrayLike, position: float, *, law: PanLaw = "constant_power") -> FloatArray:
    """Pan a mono track.

    Args:
        mono: Mono samples of shape (1, N) or (N,).
        position: -1.0 is hard left, 0.0 the centre, 1.0 hard right.
        law: "constant_power" or "linear", see `pan_gains`.

    Returns:
        Stereo samples (2, N), float32.

    Raises:
        SettingError: If the samples are not mono, or for the reasons of `pan_gains`.
    """
    track = checked_samples(np.atleast_2d(np.asarray(mono, dtype=np.float32)), name="mono")
    if track.shape[0] != 1:
        has = f"has shape {track.shape}"
        raise SettingError("mono", track.shape, "give one channel, (1, N) or (N,)", problem=has)
    gains = np.array(pan_gains(position, law=law), dtype=np.float32)
    return gains[:, np.newaxis] * track
