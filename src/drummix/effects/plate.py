"""Plate reverberation.

In: mono or stereo float32 samples and their rate in Hz. Out: the reverberation alone, in stereo.
Source: Dattorro, "Effect design, part 1: reverberator and other filters", JAES 45(9), 1997, fig. 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from drummix.audio import ResamplingStream
from drummix.effects.checks import FloatArray, checked_range, checked_rate, checked_samples
from drummix.effects.eq import Band, Equaliser
from drummix.effects.tank import Tank
from drummix.errors import SettingError
from drummix.levels import db_to_gain

PLATE_RATE_HZ = 29_761
"""Rate at which the delays of the plate are whole numbers of samples."""

_BLOCK_SAMPLES = 1 << 16
_TAIL_SAMPLES = 1 << 12

_T60_FACTOR_S = 0.598
"""T60 * |log10 decay|, measured on the impulse response from -5 to -35 dB; from decay 0.4 on."""

# Below, the delays of the plate are heard apart from its decay: measured in the same way.
_SHORT_DECAYS = (0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
_SHORT_T60_S = (0.535, 0.543, 0.567, 0.601, 0.640, 0.743, 0.864, 1.000, 1.157, 1.333, 1.503)

MIN_T60_S = 0.54
"""The plate sounds that long without any feedback."""


def t60_of_decay(decay: float) -> float:
    """Reverberation time in seconds of the unmoving plate of full size, within 1.5%.

    Args:
        decay: As for `plate`, 0..0.98.

    >>> round(t60_of_decay(0.0), 2), round(t60_of_decay(0.5), 2)
    (0.54, 1.99)
    """
    if decay < _SHORT_DECAYS[-1]:
        return float(np.interp(decay, _SHORT_DECAYS, _SHORT_T60_S))
    return _T60_FACTOR_S / -math.log10(decay)


def decay_for_t60(t60_s: float) -> float:
    """Decay setting of `plate` for a reverberation time: the inverse of `t60_of_decay`.

    Args:
        t60_s: Time for a fall of 60 dB in seconds, 0.54..60; no plate of full size is shorter.

    Returns:
        Decay; the unmoving plate is within 1.5% of the wanted time, and a moving one up to 8%
        shorter.

    Raises:
        SettingError: If the time is outside its range.

    >>> round(decay_for_t60(2.0), 3)
    0.502
    """
    wanted_s = checked_range("t60_s", t60_s, MIN_T60_S, 60.0)
    if wanted_s < _SHORT_T60_S[-1]:
        return float(np.interp(wanted_s, _SHORT_T60_S, _SHORT_DECAYS))
    return 10.0 ** (-_T60_FACTOR_S / wanted_s)


def plate(
    samples: ArrayLike,
    rate_hz: int,
    *,
    decay: float = 0.5,
    size: float = 1.0,
    predelay_ms: float = 0.0,
    bandwidth: float = 0.9995,
    damping: float = 0.0005,
    low_cut_hz: float | None = None,
    high_cut_hz: float | None = None,
    excursion_samples: float = 8.0,
    modulation_hz: float = 1.0,
) -> FloatArray:
    """Reverberation of a plate, without the direct sound.

    Args:
        samples: Mono (1, N) or stereo (2, N); stereo is summed to (left + right) / 2.
        rate_hz: Sample rate in Hz.
        decay: Gain of each quarter of the tank, 0..0.98; see `decay_for_t60`.
        size: Factor on every delay in the plate, 0.25..1: a smaller plate builds up and dies
            away that much faster. Below 14 kHz its level stays the same; only a smaller one goes
            on above, which makes white noise up to 1.8 dB louder in it. It runs at 29,761 Hz /
            `size`, by which the three settings that follow per sample are to be read.
        predelay_ms: Delay before the plate, 0..1000 ms.
        bandwidth: Input low-pass, 0..1; 1.0 lets everything through. Its corner in Hz goes up
            as the size goes down.
        damping: Low-pass in the tank, 0..1; 0.0 has no loss at high frequencies. Its corner goes
            up in the same way.
        low_cut_hz: Corner of a 12 dB an octave high-pass on the result, or None.
        high_cut_hz: Corner of a 12 dB an octave low-pass on the result, or None.
        excursion_samples: Peak movement of two all-passes in the tank, 0..16 of the tank's own
            samples; 0.0 makes the plate linear and time-invariant.
        modulation_hz: Frequency of that movement, 0..10 Hz.

    Returns:
        Stereo reverberation (2, N): as long as the input, the tail after it is cut. Pad the
        input with silence to keep a tail.

    Raises:
        SettingError: If a setting is outside its range or there are more than two channels.

    Source:
        Dattorro 1997, fig. 1 and table 1 and 2. We differ in three points: the plate runs at
        his 29,761 Hz whatever the session's rate, or at a higher one to be smaller, and both
        all-passes move (he moves one or both), a quarter of a period apart.
    """
    track = checked_samples(samples)
    stream = PlateStream(
        rate_hz,
        decay=decay,
        size=size,
        predelay_ms=predelay_ms,
        bandwidth=bandwidth,
        damping=damping,
        low_cut_hz=low_cut_hz,
        high_cut_hz=high_cut_hz,
        excursion_samples=excursion_samples,
        modulation_hz=modulation_hz,
    )
    starts = range(0, max(1, track.shape[1]), _BLOCK_SAMPLES)
    heard = [stream.add(track[:, start : start + _BLOCK_SAMPLES]) for start in starts]
    return np.concatenate([*heard, stream.finish()], axis=1)


class PlateStream:
    """The plate on audio that comes in blocks of any size: joined, what `plate` returns.

    Args:
        rate_hz: Sample rate in Hz.
        decay: As in `plate`, and so on below.
        size: See `plate`.
        predelay_ms: See `plate`.
        bandwidth: See `plate`.
        damping: See `plate`.
        low_cut_hz: See `plate`.
        high_cut_hz: See `plate`.
        excursion_samples: See `plate`.
        modulation_hz: See `plate`.

    Raises:
        SettingError: If a setting is outside its range.
    """

    def __init__(
        self,
        rate_hz: int,
        *,
        decay: float = 0.5,
        size: float = 1.0,
        predelay_ms: float = 0.0,
        bandwidth: float = 0.9995,
        damping: float = 0.0005,
        low_cut_hz: float | None = None,
        high_cut_hz: float | None = None,
        excursion_samples: float = 8.0,
        modulation_hz: float = 1.0,
    ) -> None:
        rate_hz = checked_rate(rate_hz)
        predelay_s = checked_range("predelay_ms", predelay_ms, 0.0, 1000.0) / 1000.0
        tank_rate_hz = round(PLATE_RATE_HZ / checked_range("size", size, 0.25, 1.0))
        modulation_hz = checked_range("modulation_hz", modulation_hz, 0.0, 10.0)
        self._tank = Tank(
            decay=checked_range("decay", decay, 0.0, 0.98),
            bandwidth=checked_range("bandwidth", bandwidth, 0.0, 1.0),
            damping=checked_range("damping", damping, 0.0, 1.0),
            excursion_samples=checked_range("excursion_samples", excursion_samples, 0.0, 16.0),
            turn=2.0 * math.pi * modulation_hz / tank_rate_hz,
        )
        cuts: list[Band] = []
        if low_cut_hz is not None:
            cuts.append(Band("high_pass", low_cut_hz))
        if high_cut_hz is not None:
            cuts.append(Band("low_pass", high_cut_hz))
        self._cuts = Equaliser(rate_hz, cuts, n_channels=2)
        self._down = ResamplingStream(rate_hz, tank_rate_hz, 1)
        self._up = ResamplingStream(tank_rate_hz, rate_hz, 2)
        # What waits to enter: the plate is as much behind, and never hears the end of the input.
        self._predelay = round(predelay_s * rate_hz)
        self._waiting = np.zeros(0, dtype=np.float32)
        self._n_heard = self._n_given = 0

    def add(self, block: FloatArray) -> FloatArray:
        """Hear the next samples (1 or 2, samples).

        Returns:
            The reverberation (2, samples) from where the last call ended, as far as it is known:
            the resamplers keep some 20 ms back.
        """
        block = checked_samples(block)
        if block.shape[0] > 2:
            has = f"has {block.shape[0]} channels"
            raise SettingError("block", block.shape, "give one or two", problem=has)
        n_silent = min(self._predelay, self._n_heard + block.shape[1]) - self._n_given
        self._n_heard += block.shape[1]
        waiting = np.concatenate([self._waiting, block.mean(axis=0)])
        n_fed = max(0, waiting.size - self._predelay)
        self._waiting = waiting[n_fed:]
        silence = np.zeros((2, max(0, n_silent)), np.float32)
        return self._cut(np.concatenate([silence, self._reverberate(waiting[:n_fed])], axis=1))

    def finish(self) -> FloatArray:
        """The rest: with it, as many samples have come back as were heard."""
        rest, fed = np.zeros((2, 0), np.float32), self._waiting
        n_left = self._n_heard - self._n_given
        # A resampler that were told of the end would hear the tail stop there, and ring.
        while rest.shape[1] < n_left:
            fed = np.concatenate([fed, np.zeros(_TAIL_SAMPLES, np.float32)])
            rest, fed = np.concatenate([rest, self._reverberate(fed)], axis=1), fed[:0]
        return self._cut(rest[:, :n_left])

    def _reverberate(self, mono: FloatArray) -> FloatArray:
        """The plate after the predelay: samples (N,) to what is ready of their sound (2, N)."""
        return self._up.process(self._tank.add(self._down.process(mono[np.newaxis])[0]))

    def _cut(self, samples: FloatArray) -> FloatArray:
        self._n_given += samples.shape[1]
        return self._cuts.add(samples)


def plate_send(
    samples: ArrayLike,
    rate_hz: int,
    *,
    wet_db: float,
    decay: float = 0.5,
    size: float = 1.0,
    predelay_ms: float = 0.0,
    bandwidth: float = 0.9995,
    damping: float = 0.0005,
    low_cut_hz: float | None = None,
    high_cut_hz: float | None = None,
    excursion_samples: float = 8.0,
    modulation_hz: float = 1.0,
) -> FloatArray:
    """A track with a plate added to it; the direct sound keeps its level.

    Args:
        samples: Mono (1, N) or stereo (2, N); mono stays in the centre at its level.
        rate_hz: Sample rate in Hz.
        wet_db: Gain of the reverberation in dB.
        decay: As in `plate`, and so on below.
        size: See `plate`.
        predelay_ms: See `plate`.
        bandwidth: See `plate`.
        damping: See `plate`.
        low_cut_hz: See `plate`.
        high_cut_hz: See `plate`.
        excursion_samples: See `plate`.
        modulation_hz: See `plate`.

    Returns:
        Stereo (2, N): direct sound and reverberation.

    Raises:
        SettingError: If a setting is outside its range.
    """
    gain = np.float32(db_to_gain(checked_range("wet_db", wet_db, -120.0, 60.0)))
    wet = plate(
        samples,
        rate_hz,
        decay=decay,
        size=size,
        predelay_ms=predelay_ms,
        bandwidth=bandwidth,
        damping=damping,
        low_cut_hz=low_cut_hz,
        high_cut_hz=high_cut_hz,
        excursion_samples=excursion_samples,
        modulation_hz=modulation_hz,
    )
    return checked_samples(samples) + gain * wet
