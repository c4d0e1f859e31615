"""The gain of a compressor over time, from blocks of its detector's signal.

In: detector blocks (channels, samples). Out: gains (samples,), float32. `dynamics` applies them.
Source: Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design", JAES 60(6), 2012.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from drummix.effects.checks import FloatArray, checked_range, checked_rate, one_pole_coefficient
from drummix.levels import SILENCE_DBFS, db_to_gain

_FLOOR = np.float32(db_to_gain(SILENCE_DBFS))

# Short enough for its arrays to stay in the nearest cache.
_SPAN = 512

# Constants of the loops below; a mantissa is brought to sqrt(1/2)..sqrt(2) by its bits.
_ROOT_HALF_BITS = 0x3F3504F3
_LN_2 = math.log(2.0)
_DB_PER_OCTAVE = 20.0 * math.log10(2.0)
_DB_PER_NEPER = 20.0 / math.log(10.0)
_THIRD, _FIFTH, _SEVENTH, _NINTH = 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0
_E2, _E3, _E4, _E5, _E6, _E7 = (1.0 / math.factorial(order) for order in range(2, 8))


def checked_curve(threshold_db: float, ratio: float, knee_db: float) -> tuple[float, float, float]:
    """Threshold, slope above it in dB a dB, and knee of a compressor.

    Raises:
        SettingError: If one of them is outside its range.
    """
    return (
        checked_range("threshold_db", threshold_db, -120.0, 60.0),
        1.0 / checked_range("ratio", ratio, 1.0) - 1.0,
        checked_range("knee_db", knee_db, 0.0, 120.0),
    )


class CompressorGain:
    """One gain, from the loudest of its detector's channels, whatever the blocks' size.

    Args:
        rate_hz: Sample rate in Hz.
        threshold_db: As for `dynamics.compress`, and so on below.
        ratio: At least 1.0.
        attack_ms: 0.0 falls at once.
        release_ms: 0.0 rises at once.
        knee_db: 0.0 is a hard knee.
        makeup_db: Part of the gain.

    Raises:
        SettingError: If a setting is outside its range.
    """

    def __init__(
        self,
        rate_hz: int,
        *,
        threshold_db: float,
        ratio: float,
        attack_ms: float,
        release_ms: float,
        knee_db: float = 6.0,
        makeup_db: float = 0.0,
    ) -> None:
        rate_hz = checked_rate(rate_hz)
        curve = checked_curve(threshold_db, ratio, knee_db)
        self._curve = (*curve, checked_range("makeup_db", makeup_db, -60.0, 60.0))
        self._attack = one_pole_coefficient(checked_range("attack_ms", attack_ms, 0.0), rate_hz)
        self._release = one_pole_coefficient(checked_range("release_ms", release_ms, 0.0), rate_hz)
        self._state_db = 0.0

    def add(self, detector: FloatArray) -> FloatArray:
        """The gain (samples,) beside the next samples (channels, samples) of the detector."""
        gain = np.empty(detector.shape[1], dtype=np.float32)
        detector = np.ascontiguousarray(detector)
        self._state_db = _compressor_gain(
            detector, gain, self._curve, self._attack, self._release, self._state_db
        )
        return gain


# Short loops without a branch, each over arrays of one kind, so that the compiler turns all but the
# smoother into vector instructions: that, not the arithmetic, is what makes this fast. The
# logarithm is 2 artanh((m - 1) / (m + 1)) to its ninth power (within 1e-8 dB), the exponential a
# Taylor series to its seventh (within 1e-8 of the gain).
@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _compressor_gain(detector, gain, curve, attack, release, state_db):  # type: ignore[no-untyped-def]
    threshold_db, slope, knee_db, makeup_db = curve
    half_knee_db = 0.5 * knee_db
    bend = 0.5 / knee_db if knee_db > 0.0 else 0.0
    peaks, scale = np.empty(_SPAN, np.float32), np.empty(_SPAN, np.float32)
    peak_bits, scale_bits = peaks.view(np.int32), scale.view(np.int32)
    work = np.empty(_SPAN)
    for start in range(0, gain.shape[0], _SPAN):
        out = gain[start : start + _SPAN]
        n_span = out.shape[0]
        peaks[:] = _FLOOR
        for channel in range(detector.shape[0]):
            heard = detector[channel, start : start + _SPAN]
            for n in range(n_span):
                peaks[n] = max(peaks[n], abs(heard[n]))
        for n in range(n_span):
            octave = np.int32(np.int32(peak_bits[n] - _ROOT_HALF_BITS) >> 23)
            work[n] = np.float64(octave)
            peak_bits[n] = np.int32(peak_bits[n] - np.int32(octave << 23))
        for n in range(n_span):
            mantissa = np.float64(peaks[n])
            x = (mantissa - 1.0) / (mantissa + 1.0)
            xx = x * x
            series = x * (1.0 + xx * (_THIRD + xx * (_FIFTH + xx * (_SEVENTH + xx * _NINTH))))
            over_db = _DB_PER_OCTAVE * work[n] + 2.0 * _DB_PER_NEPER * series - threshold_db
            # As `dynamics.compressor_gain_db`.
            in_knee_db = min(max(over_db + half_knee_db, 0.0), knee_db)
            work[n] = slope * (in_knee_db * in_knee_db * bend + max(over_db - half_knee_db, 0.0))
        for n in range(n_span):
            target_db = work[n]
            coefficient = attack if target_db < state_db else release
            state_db = target_db + coefficient * (state_db - target_db)
            work[n] = state_db
        for n in range(n_span):
            octaves = (work[n] + makeup_db) / _DB_PER_OCTAVE
            whole = math.floor(octaves + 0.5)
            x = (octaves - whole) * _LN_2
            tail = _E3 + x * (_E4 + x * (_E5 + x * (_E6 + x * _E7)))
            work[n] = 1.0 + x * (1.0 + x * (_E2 + x * tail))
            scale_bits[n] = np.int32((np.int32(max(whole, -126.0)) + 127) << 23)
        for n in range(n_span):
            out[n] = work[n] * scale[n]
    return state_db
