"""Stand-in for soxr where it is not installed: whole arrays, by scipy's polyphase resampling.

The plate reverberation needs it; kits at the corpus's own rate do not. Streams do not exist here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly


class ResampleStream:
    """Not here: nothing that trains reads sound at another rate block by block."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        raise RuntimeError("no streaming resampler on this machine; bring kits at 44100 Hz")


def resample(
    frames: NDArray[np.floating], in_rate: float, out_rate: float, quality: Any = None
) -> NDArray[np.floating]:
    """Frames (samples,) or (samples, channels) at another rate, in their own type."""
    common = math.gcd(round(in_rate), round(out_rate))
    up, down = round(out_rate) // common, round(in_rate) // common
    return resample_poly(frames, up, down, axis=0, window=("kaiser", 12.0)).astype(frames.dtype)
