"""Checks of what callers hand to an effect: every failure is a `SettingError` that says what to do.

In: samples and settings. Out: the same, as float32 or plain floats, or an error.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drummix.errors import SettingError

FloatArray = NDArray[np.float32]


def checked_samples(samples: ArrayLike, *, name: str = "samples") -> FloatArray:
    """Return samples as a float32 array, refusing any shape but (channels, samples).

    Args:
        samples: Audio of shape (channels, samples), full scale 1.0.
        name: What the error message calls the array.

    Returns:
        The same samples as float32; not a copy where they already were.

    Raises:
        SettingError: If the array has another number of axes or no channel.
    """
    checked = np.asarray(samples, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[0] == 0:
        expected = "give (channels, samples) with at least one channel"
        raise SettingError(name, checked.shape, expected, problem=f"has shape {checked.shape}")
    return checked


def checked_rate(rate_hz: int) -> int:
    """Return the sample rate as an int.

    Raises:
        SettingError: If it is not a whole number above zero.
    """
    if not (math.isfinite(rate_hz) and rate_hz > 0 and rate_hz == int(rate_hz)):
        raise SettingError("rate_hz", rate_hz, "give a whole sample rate in Hz, such as 44100")
    return int(rate_hz)


def checked_range(name: str, value: float, low: float, high: float = math.inf) -> float:
    """Return a setting as a float, refusing values outside its range.

    Args:
        name: Name of the setting, for the message.
        value: Value given by the caller.
        low: Smallest value allowed.
        high: Largest value allowed.

    Returns:
        The value as a float.

    Raises:
        SettingError: If the value is not a finite number from `low` to `high`.

    >>> checked_range("ratio", 4, 1.0)
    4.0
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool) or not math.isfinite(value):
        raise SettingError(name, value, "give a finite number")
    if not low <= value <= high:
        bounds = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise SettingError(name, float(value), f"use a value {bounds}")
    return float(value)


def one_pole_coefficient(time_ms: float, rate_hz: int) -> float:
    """Feedback coefficient of a one-pole smoother that covers 63% of a step in `time_ms`.

    Args:
        time_ms: Time constant in ms; 0 follows at once.
        rate_hz: Sample rate in Hz.

    Returns:
        exp(-1 / (time * rate)), from 0 to below 1.

    Source:
        Giannoulis, Massberg and Reiss, JAES 60(6), 2012, eq. 7.
    """
    return math.exp(-1000.0 / (time_ms * rate_hz)) if time_ms > 0 else 0.0
