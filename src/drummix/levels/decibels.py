"""Decibels, peak, RMS and crest factor."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

SILENCE_DBFS = -120.0
"""What `peak_dbfs` and its kin return for digital silence: the floor of `gain_to_db`."""


@overload
def db_to_gain(db: float) -> float: ...
@overload
def db_to_gain(db: NDArray[np.floating]) -> NDArray[np.float64]: ...
def db_to_gain(db: float | NDArray[np.floating]) -> float | NDArray[np.float64]:
    """Linear gain of a level in dB.

    >>> db_to_gain(20.0)
    10.0
    """
    gain = np.power(10.0, np.asarray(db, dtype=np.float64) / 20.0)
    return gain if isinstance(db, np.ndarray) else float(gain)


@overload
def gain_to_db(gain: float, *, floor_db: float = ...) -> float: ...
@overload
def gain_to_db(gain: NDArray[np.floating], *, floor_db: float = ...) -> NDArray[np.float64]: ...
def gain_to_db(
    gain: float | NDArray[np.floating], *, floor_db: float = SILENCE_DBFS
) -> float | NDArray[np.float64]:
    """Level in dB of a linear gain; the sign of the gain does not matter.

    Args:
        gain: Linear gain or amplitude, a number or an array.
        floor_db: Lowest level returned, so that zero has a level.

    Returns:
        Level in dB, never below `floor_db`, shape of `gain`.

    >>> gain_to_db(0.1)
    -20.0
    >>> gain_to_db(0.0)
    -120.0
    """
    magnitude = np.abs(np.asarray(gain, dtype=np.float64))
    with np.errstate(divide="ignore"):
        level_db = np.maximum(20.0 * np.log10(magnitude), floor_db)
    return level_db if isinstance(gain, np.ndarray) else float(level_db)


def peak_dbfs(samples: ArrayLike) -> float:
    """Level of the largest sample, over all channels, in dBFS (a full-scale square is 0.0)."""
    values = np.asarray(samples)
    return gain_to_db(float(np.max(np.abs(values), initial=0.0)))


def rms_dbfs(samples: ArrayLike) -> float:
    """Root mean square over all channels and samples in dBFS (a full-scale sine is -3.01)."""
    values = np.asarray(samples, dtype=np.float64)
    if values.size == 0:
        return SILENCE_DBFS
    return gain_to_db(float(np.sqrt(np.mean(np.square(values)))))


def crest_db(samples: ArrayLike) -> float:
    """Crest factor in dB: peak level minus RMS level; 3.01 for a sine, 0.0 for silence."""
    return peak_dbfs(samples) - rms_dbfs(samples)
