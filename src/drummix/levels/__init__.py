"""Levels: decibels, peak, RMS, loudness and true peak; the only place they are converted.

In: float samples (channels, samples), full scale 1.0. Out: numbers in dB, dBFS, LUFS or dBTP.
What a role's level should be is `drummix.gain_staging`'s; here nothing knows of drums.
"""

from drummix.levels.decibels import (
    SILENCE_DBFS,
    crest_db,
    db_to_gain,
    gain_to_db,
    peak_dbfs,
    rms_dbfs,
)
from drummix.levels.first_sound import FromFirstSound, n_silent_before
from drummix.levels.frame_peaks import FRAME_RATE_HZ, FramePeaks
from drummix.levels.metering import (
    GATE_LUFS,
    MIN_RATE_HZ,
    GatedLoudness,
    LoudnessMeter,
    integrated_lufs,
    true_peak_dbtp,
)

__all__ = [
    "FRAME_RATE_HZ",
    "GATE_LUFS",
    "MIN_RATE_HZ",
    "SILENCE_DBFS",
    "FramePeaks",
    "FromFirstSound",
    "GatedLoudness",
    "LoudnessMeter",
    "crest_db",
    "db_to_gain",
    "gain_to_db",
    "integrated_lufs",
    "n_silent_before",
    "peak_dbfs",
    "rms_dbfs",
    "true_peak_dbtp",
]
