"""Mixes kept for listening: lossless files that are never clipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Audio, make_folder, write
from drummix.levels import db_to_gain, peak_dbfs

_HEADROOM_DB = 0.01


def keep_mix(path: Path, mix: NDArray[np.float32], rate_hz: int) -> float:
    """Write a mix as 24-bit FLAC, turned down where it goes beyond full scale.

    Args:
        path: The file; its folder is made if missing.
        mix: Samples (channels, samples).
        rate_hz: Sample rate in Hz.

    Returns:
        The gain in dB that it was written with: 0, or less where it would have clipped.
    """
    peak_db = peak_dbfs(mix)
    gain_db = -peak_db - _HEADROOM_DB if peak_db > 0.0 else 0.0
    make_folder(path.parent)
    write(path, Audio(mix * np.float32(db_to_gain(gain_db)), rate_hz))
    return gain_db
