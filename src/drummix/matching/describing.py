"""What a person reads of a microphone's filters: fader, pan, tilt, and how sure they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.effects.reverse import Equations
from drummix.gain_staging import StagedStem
from drummix.levels import gain_to_db
from drummix.matching.learning import LearnedFilters
from drummix.mixers.style import StyleMic
from drummix.session import Session

DoubleArray = NDArray[np.float64]

_BANDS_HZ = 1000.0 * 2.0 ** (np.arange(-12, 13) / 3.0)
_HEARD_DB = 60.0
"""Third-octave bands this far below a stem's loudest do not count for its tilt."""


def describe_mics(
    session: Session, learned: LearnedFilters, staged: tuple[StagedStem, ...]
) -> tuple[StyleMic, ...]:
    """The microphones of a style, each filter split into fader, pan and a filter of unit gain."""
    mics = []
    for index, (stem, level) in enumerate(zip(session.stems, staged, strict=True)):
        taps = learned.fit.filters[:, index]
        gains = channel_gains(learned.equations, index, taps)
        gain_db, pan, unit = split(taps, gains, learned.fit.n_lead)
        trust = learned.fit.stems[index]
        mics.append(
            StyleMic(
                role=stem.role,
                source=stem.source[:300],
                gain_db=gain_db,
                pan=pan,
                left=unit[0],
                right=unit[1],
                is_learned=learned.is_learned[index],
                staged_gain_db=None if np.isinf(level.level_dbfs) else level.gain_db,
                facts={
                    "tilt_db_per_octave": tilt_db_per_octave(
                        taps, session.rate_hz, _spectrum(learned.equations, index)
                    ),
                    "share": trust.share,
                    "own_share": trust.own_share,
                    "confidence": trust.confidence,
                },
            )
        )
    return tuple(mics)


def channel_gains(equations: Equations, index: int, taps: DoubleArray) -> DoubleArray:
    """By how much a stem's RMS level changes on its way into each channel (2,), linear."""
    lags = equations.products[index, index, : taps.shape[1]]
    energy = float(lags[0])
    if energy <= 0.0:
        return np.sqrt(np.sum(taps**2, axis=1))
    steps = np.abs(np.subtract.outer(np.arange(taps.shape[1]), np.arange(taps.shape[1])))
    made = np.einsum("ca,ab,cb->c", taps, lags[steps], taps)
    return np.sqrt(np.maximum(made, 0.0) / energy)


def split(taps: DoubleArray, gains: DoubleArray, n_lead: int) -> tuple[float, float, DoubleArray]:
    """Fader in dB, constant-power pan, and filters of unit gain (2, taps).

    A channel that hears nothing gets a filter that lets all through, so that a pan moved by hand
    finds something there.
    """
    total = float(np.hypot(*gains))
    flat = np.zeros(taps.shape[1])
    flat[n_lead] = 1.0
    if total < 1e-9:
        return -180.0, 0.0, np.stack([flat, flat])
    pan = float(np.arctan2(gains[1], gains[0]) * 4.0 / np.pi - 1.0)
    unit = [
        row / gain if gain > 1e-6 * total else flat for row, gain in zip(taps, gains, strict=True)
    ]
    if min(gains) <= 1e-6 * total:
        pan = float(np.sign(gains[1] - gains[0]))
    return float(gain_to_db(total)), pan, np.stack(unit)


def response_db(taps: DoubleArray, rate_hz: int, frequencies_hz: DoubleArray) -> DoubleArray:
    """Gain of both channels' filters together (power sum) at given frequencies, in dB."""
    turns = np.exp(-2j * np.pi * np.outer(np.arange(taps.shape[1]), frequencies_hz) / rate_hz)
    power = np.sum(np.abs(taps @ turns) ** 2, axis=0)
    return np.asarray(gain_to_db(np.sqrt(power)), dtype=np.float64)


def tilt_db_per_octave(taps: DoubleArray, rate_hz: int, spectrum: DoubleArray) -> float:
    """Slope of a filter's gain over the third-octave bands in which its stem has sound."""
    bands = _BANDS_HZ[0.4 * rate_hz > _BANDS_HZ]
    bins = np.fft.rfftfreq(2 * (spectrum.size - 1), 1.0 / rate_hz)
    level_db = 10.0 * np.log10(np.maximum(np.interp(bands, bins, spectrum) * bands, 1e-30))
    heard = bands[level_db > level_db.max() - _HEARD_DB]
    if heard.size < 3 or not np.any(taps):
        return 0.0
    return float(np.polyfit(np.log2(heard), response_db(taps, rate_hz, heard), 1)[0])


def _spectrum(equations: Equations, index: int) -> DoubleArray:
    """Power spectrum of a stem from its own products, smoothed as its lags are few."""
    lags = equations.products[index, index]
    if lags.size < 8:
        return np.ones(129)
    window = 0.5 + 0.5 * np.cos(np.pi * np.arange(lags.size) / lags.size)
    both = np.concatenate([lags * window, [0.0], (lags * window)[:0:-1]])
    return np.maximum(fft.rfft(both).real, 0.0)
