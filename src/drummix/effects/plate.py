"""Plate reverberation.

In: mono or stereo float32 samples and their rate in Hz. Out: the reverberation alone, in stereo.
Source: Dattorro, "Effect design, part 1: reverberator and other filters", JAES 45(9), 1997, fig. 1.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from drummix.audio import resample
from drummix.effects.checks import FloatArray, checked_range, checked_rate, checked_samples
from drummix.effects.eq import Band, equalise
from drummix.errors import SettingError
from drummix.levels import db_to_gain

PLATE_RATE_HZ = 29_761
"""Rate at which the delays of the plate are whole numbers of samples."""

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
    if track.shape[0] > 2:
        raise SettingError(f"plate was given {track.shape[0]} channels; give one or two")
    rate_hz = checked_rate(rate_hz)
    n_samples = track.shape[1]
    predelay = round(checked_range("predelay_ms", predelay_ms, 0.0, 1000.0) * rate_hz / 1000.0)
    tank_rate_hz = round(PLATE_RATE_HZ / checked_range("size", size, 0.25, 1.0))
    tank_settings = (
        checked_range("decay", decay, 0.0, 0.98),
        checked_range("bandwidth", bandwidth, 0.0, 1.0),
        checked_range("damping", damping, 0.0, 1.0),
        checked_range("excursion_samples", excursion_samples, 0.0, 16.0),
        2.0 * math.pi * checked_range("modulation_hz", modulation_hz, 0.0, 10.0) / tank_rate_hz,
    )
    cuts: list[Band] = []
    if low_cut_hz is not None:
        cuts.append(Band("high_pass", low_cut_hz))
    if high_cut_hz is not None:
        cuts.append(Band("low_pass", high_cut_hz))
    if n_samples <= predelay:
        return np.zeros((2, n_samples), dtype=np.float32)
    fed = track[:, : n_samples - predelay].mean(axis=0, keepdims=True)
    at_tank_rate = resample(fed, rate_hz, tank_rate_hz)[0].astype(np.float64)
    heard = resample(_tank(at_tank_rate, *tank_settings), tank_rate_hz, rate_hz)
    wet = np.zeros((2, n_samples), dtype=np.float32)
    end = min(n_samples, predelay + heard.shape[1])
    wet[:, predelay:end] = heard[:, : end - predelay]
    return equalise(wet, rate_hz, cuts)


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


@njit(inline="always")
def _all_pass(line, position, delay, gain, sample):  # type: ignore[no-untyped-def]
    """(g + z^-d) / (1 + g z^-d): store the inner value, return the output."""
    mask = line.shape[0] - 1
    delayed = line[(position - delay) & mask]
    inner = sample - gain * delayed
    line[position & mask] = inner
    return delayed + gain * inner


@njit(inline="always")
def _moving_all_pass(line, position, delay, gain, sample, memory, half):  # type: ignore[no-untyped-def]
    """As `_all_pass` at a fractional delay, read through a first-order all-pass.

    All-pass interpolation keeps the tank's energy; a linear one would damp high frequencies.
    Its fraction stays within 0.5..1.5 samples, where its own ringing dies at once.
    """
    mask = line.shape[0] - 1
    whole = int(delay - 0.5)
    fraction = delay - whole
    coefficient = (1.0 - fraction) / (1.0 + fraction)
    newer = line[(position - whole) & mask]
    older = line[(position - whole - 1) & mask]
    delayed = older + coefficient * (newer - memory[half])
    memory[half] = delayed
    inner = sample - gain * delayed
    line[position & mask] = inner
    return delayed + gain * inner


@njit(inline="always")
def _tap(line, position, delay):  # type: ignore[no-untyped-def]
    return line[(position - delay) & (line.shape[0] - 1)]


@njit(cache=True, nogil=True, fastmath=False)
def _tank(mono, decay, bandwidth, damping, excursion, step):  # type: ignore[no-untyped-def]
    """Run the plate at its own rate: (N,) float64 -> (2, N) float32."""
    # Line lengths are powers of two, so that a position wraps by a mask.
    in_1, in_2 = np.zeros(256), np.zeros(128)
    in_3, in_4 = np.zeros(512), np.zeros(512)
    ap_a1, ap_a2, ap_b1, ap_b2 = np.zeros(1024), np.zeros(2048), np.zeros(1024), np.zeros(4096)
    delay_a1, delay_a2 = np.zeros(8192), np.zeros(4096)
    delay_b1, delay_b2 = np.zeros(8192), np.zeros(4096)
    memory = np.zeros(2)
    diffusion = min(max(decay + 0.15, 0.25), 0.50)
    band = low_a = low_b = 0.0
    # A pointer turned by one step a sample: its length drifts by 1e-16 a turn, and it costs
    # a tenth of a sine and a cosine.
    sine, cosine = 0.0, excursion
    turn_re, turn_im = math.cos(step), math.sin(step)
    wet = np.empty((2, mono.shape[0]), dtype=np.float32)
    for n in range(mono.shape[0]):
        band += bandwidth * (mono[n] - band)
        fed = _all_pass(in_1, n, 142, 0.75, band)
        fed = _all_pass(in_2, n, 107, 0.75, fed)
        fed = _all_pass(in_3, n, 379, 0.625, fed)
        fed = _all_pass(in_4, n, 277, 0.625, fed)

        into_a = fed + decay * _tap(delay_b2, n, 3163)
        into_b = fed + decay * _tap(delay_a2, n, 3720)
        if excursion > 0.0:
            into_a = _moving_all_pass(ap_a1, n, 672.0 + sine, -0.70, into_a, memory, 0)
            into_b = _moving_all_pass(ap_b1, n, 908.0 + cosine, -0.70, into_b, memory, 1)
            sine, cosine = turn_re * sine + turn_im * cosine, turn_re * cosine - turn_im * sine
        else:
            into_a = _all_pass(ap_a1, n, 672, -0.70, into_a)
            into_b = _all_pass(ap_b1, n, 908, -0.70, into_b)

        low_a += (1.0 - damping) * (_tap(delay_a1, n, 4453) - low_a)
        low_b += (1.0 - damping) * (_tap(delay_b1, n, 4217) - low_b)
        delay_a1[n & 8191] = into_a
        delay_b1[n & 8191] = into_b
        delay_a2[n & 4095] = _all_pass(ap_a2, n, 1800, diffusion, decay * low_a)
        delay_b2[n & 4095] = _all_pass(ap_b2, n, 2656, diffusion, decay * low_b)

        wet[0, n] = 0.6 * (
            _tap(delay_b1, n, 266)
            + _tap(delay_b1, n, 2974)
            - _tap(ap_b2, n, 1913)
            + _tap(delay_b2, n, 1996)
            - _tap(delay_a1, n, 1990)
            - _tap(ap_a2, n, 187)
            - _tap(delay_a2, n, 1066)
        )
        wet[1, n] = 0.6 * (
            _tap(delay_a1, n, 353)
            + _tap(delay_a1, n, 3627)
            - _tap(ap_a2, n, 1228)
            + _tap(delay_a2, n, 2673)
            - _tap(delay_b1, n, 2111)
            - _tap(ap_b2, n, 335)
            - _tap(delay_b2, n, 121)
        )
    return wet
