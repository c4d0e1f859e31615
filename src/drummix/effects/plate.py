"""Plate reverberation.

In: mono or stereo float32 samples and their rate in Hz. Out: the reverberation alone, in stereo.
Source: Dattorro, "Effect design, part 1: reverberator and other filters", JAES 45(9), 1997, fig. 1.
"""

from __future__ import annotations

import math

import numpy as np
import soxr
from numpy.typing import ArrayLike

from drummix.effects.checks import FloatArray, checked_range, checked_rate, checked_samples
from drummix.effects.eq import Band, Equaliser
from drummix.effects.tank import Tank
from drummix.errors import SettingError
from drummix.levels import db_to_gain

PLATE_RATE_HZ = 29_761
"""Rate at which the delays of the plate are whole numbers of samples."""

_RESAMPLING_QUALITY = "HQ"
_BLOCK_SAMPLES = 1 << 16

T60_FACTOR_S = 0.598
"""T60 * |log10 decay|, measured on the impulse response from -5 to -35 dB."""


def decay_for_t60(t60_s: float) -> float:
    """Decay setting of `plate` for a reverberation time.

    Args:
        t60_s: Time for a fall of 60 dB in seconds, 0.3..60.

    Returns:
        Decay; the unmoving plate is within 1.1% of the wanted time from 1.2 s up, and a moving
        one up to 8% shorter.

    Raises:
        SettingError: If the time is outside its range.

    >>> round(decay_for_t60(2.0), 3)
    0.502
    """
    return 10.0 ** (-T60_FACTOR_S / checked_range("t60_s", t60_s, 0.3, 60.0))


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
            away that much faster, at the same level.
        predelay_ms: Delay before the plate, 0..1000 ms.
        bandwidth: Input low-pass, 0..1; 1.0 lets everything through.
        damping: Low-pass in the tank, 0..1; 0.0 has no loss at high frequencies.
        low_cut_hz: Corner of a 12 dB an octave high-pass on the result, or None.
        high_cut_hz: Corner of a 12 dB an octave low-pass on the result, or None.
        excursion_samples: Peak movement of two all-passes in the tank, 0..16 samples at
            29,761 Hz; 0.0 makes the plate linear and time-invariant.
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
        self._down = _Resampler(rate_hz, tank_rate_hz, 1)
        self._up = _Resampler(tank_rate_hz, rate_hz, 2)
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
            raise SettingError(f"plate was given {block.shape[0]} channels; give one or two")
        n_silent = min(self._predelay, self._n_heard + block.shape[1]) - self._n_given
        self._n_heard += block.shape[1]
        waiting = np.concatenate([self._waiting, block.mean(axis=0)])
        n_fed = max(0, waiting.size - self._predelay)
        self._waiting = waiting[n_fed:]
        fed = self._down.add(waiting[:n_fed, np.newaxis])
        heard = self._up.add(self._tank.add(fed[:, 0]))
        return self._cut(np.concatenate([np.zeros((max(0, n_silent), 2), np.float32), heard]))

    def finish(self) -> FloatArray:
        """The rest: with it, as many samples have come back as were heard."""
        if self._n_given == self._n_heard:
            return np.zeros((2, 0), dtype=np.float32)
        n_left = self._n_heard - self._n_given
        heard = self._up.add(self._tank.add(self._down.finish()[:, 0]))
        padding = np.zeros((n_left, 2), dtype=np.float32)
        return self._cut(np.concatenate([heard, self._up.finish(), padding])[:n_left])

    def _cut(self, frames: FloatArray) -> FloatArray:
        self._n_given += frames.shape[0]
        return self._cuts.add(frames.T)


class _Resampler:
    """Frames (samples, channels) at another rate."""

    def __init__(self, from_hz: int, to_hz: int, n_channels: int) -> None:
        self._empty = np.zeros((0, n_channels), dtype=np.float32)
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(
                from_hz, to_hz, n_channels, dtype="float32", quality=_RESAMPLING_QUALITY
            )
        )

    def add(self, frames: FloatArray) -> FloatArray:
        if self._stream is None or not frames.shape[0]:
            return frames
        return self._stream.resample_chunk(frames)

    def finish(self) -> FloatArray:
        if self._stream is None:
            return self._empty
        return self._stream.resample_chunk(self._empty, last=True)


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
