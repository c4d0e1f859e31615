"""The kinds of arrays that pass between rooms.

Audio is `FloatArray`, float32, full scale 1.0, shape (channels, samples).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""Audio, and whatever is computed at its precision."""

DoubleArray = NDArray[np.float64]
"""Sums, statistics and design of filters, where single precision is too little."""

IntArray = NDArray[np.int64]
"""Sample positions and counts."""

BoolArray = NDArray[np.bool_]
"""Which of them."""
