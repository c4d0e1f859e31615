"""Equalising with second-order sections.

In: float32 samples (channels, samples), their rate, and bands. Out: a new array of the same shape.
Source: Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from drummix.effects.checks import FloatArray, checked_range, checked_rate, checked_samples
from drummix.errors import SettingError
from drummix.levels import db_to_gain, gain_to_db

BandKind = Literal["low_shelf", "high_shelf", "peak", "low_pass", "high_pass"]
BAND_KINDS: tuple[BandKind, ...] = get_args(BandKind)
PASS_KINDS = ("low_pass", "high_pass")
_SPAN = 512


@dataclass(frozen=True)
class Band:
    """One band of an equaliser.

    Args:
        kind: low_shelf, high_shelf, peak, low_pass or high_pass. A pass band falls at 12 dB an
            octave; put several in a row for more (see `butterworth`).
        frequency_hz: Centre of a peak, midpoint of a shelf (half the gain in dB), or the
            corner of a pass band; above 0 and below half the sample rate.
        gain_db: Gain of a peak or a shelf, -60..60 dB; a pass band has none.
        q: Quality, 0.01..100. 0.707 makes a pass band -3 dB at its corner and a shelf as
            steep as it gets without overshoot.

    Raises:
        SettingError: If the kind is unknown or a value is outside its range.
    """

    kind: BandKind
    frequency_hz: float
    gain_db: float = 0.0
    q: float = math.sqrt(0.5)

    def __post_init__(self) -> None:
        if self.kind not in BAND_KINDS:
            raise SettingError("kind", self.kind, f"use {', '.join(BAND_KINDS)}")
        if checked_range("frequency_hz", self.frequency_hz, 0.0) == 0.0:
            raise SettingError("frequency_hz", self.frequency_hz, "use a frequency above 0 Hz")
        checked_range("gain_db", self.gain_db, -60.0, 60.0)
        checked_range("q", self.q, 0.01, 100.0)
        if self.kind in PASS_KINDS and self.gain_db != 0.0:
            why = f"means nothing to a {self.kind} band"
            raise SettingError("gain_db", self.gain_db, "leave it out", problem=why)


def butterworth(
    kind: Literal["low_pass", "high_pass"], frequency_hz: float, *, order: int
) -> tuple[Band, ...]:
    """Bands that together make a Butterworth filter of an even order.

    Args:
        kind: low_pass or high_pass.
        frequency_hz: Frequency where the whole is -3 dB.
        order: 2, 4, 6 ... 16: 6 dB an octave for each order.

    Returns:
        order / 2 bands.

    Raises:
        SettingError: If the kind has no corner, or the order is odd or out of range.
    """
    if kind not in PASS_KINDS:
        raise SettingError("kind", kind, "use low_pass or high_pass")
    if order not in range(2, 17, 2):
        raise SettingError("order", order, "use an even number from 2 to 16")
    angles = [math.pi * (2 * section + 1) / (2 * order) for section in range(order // 2)]
    return tuple(Band(kind, frequency_hz, q=1.0 / (2.0 * math.sin(angle))) for angle in angles)


def sos(bands: Sequence[Band], rate_hz: int) -> NDArray[np.float64]:
    """Second-order sections of an equaliser.

    Args:
        bands: Bands in order.
        rate_hz: Sample rate in Hz.

    Returns:
        Sections (n_bands, 6) as `scipy.signal.sosfilt` takes them.

    Raises:
        SettingError: If a band's frequency is not below half the sample rate.
    """
    rate_hz = checked_rate(rate_hz)
    return np.array([_section(band, rate_hz) for band in bands], dtype=np.float64).reshape(-1, 6)


def _section(band: Band, rate_hz: int) -> list[float]:
    """One normalised biquad, in the cookbook's names: A is the root of the gain."""
    if band.frequency_hz >= rate_hz / 2:
        raise SettingError(
            "frequency_hz",
            band.frequency_hz,
            f"use a frequency below {rate_hz / 2:g} Hz",
            problem=f"is {band.frequency_hz:g} for a {band.kind}, which does not fit a rate of "
            f"{rate_hz:g} Hz",
        )
    omega = 2.0 * math.pi * band.frequency_hz / rate_hz
    cos, alpha = math.cos(omega), math.sin(omega) / (2.0 * band.q)
    root = float(db_to_gain(band.gain_db / 2.0))
    if band.kind == "peak":
        b = (1 + alpha * root, -2 * cos, 1 - alpha * root)
        a = (1 + alpha / root, -2 * cos, 1 - alpha / root)
    elif band.kind == "low_pass":
        b = ((1 - cos) / 2, 1 - cos, (1 - cos) / 2)
        a = (1 + alpha, -2 * cos, 1 - alpha)
    elif band.kind == "high_pass":
        b = ((1 + cos) / 2, -(1 + cos), (1 + cos) / 2)
        a = (1 + alpha, -2 * cos, 1 - alpha)
    else:
        # The two shelves are mirror images: the cosine changes its sign.
        side = 1.0 if band.kind == "low_shelf" else -1.0
        slope = 2.0 * math.sqrt(root) * alpha
        up, down, tilt = root + 1, root - 1, side * cos
        b = (
            root * (up - down * tilt + slope),
            side * 2 * root * (down - up * tilt),
            root * (up - down * tilt - slope),
        )
        a = (up + down * tilt + slope, side * -2 * (down + up * tilt), up + down * tilt - slope)
    return [value / a[0] for value in (*b, *a)]


def equalise(samples: ArrayLike, rate_hz: int, bands: Sequence[Band]) -> FloatArray:
    """Filter every channel with the same bands, from rest.

    Args:
        samples: Audio (channels, samples).
        rate_hz: Sample rate in Hz.
        bands: Bands in order; none leaves the samples as they are.

    Returns:
        New array of the same shape.

    Raises:
        SettingError: If a band does not fit the sample rate.
    """
    track = checked_samples(samples)
    return Equaliser(rate_hz, bands, n_channels=track.shape[0]).add(track)


class Equaliser:
    """The filter of `equalise` on audio that comes in blocks: joined, the same samples.

    Args:
        rate_hz: Sample rate in Hz.
        bands: Bands in order.
        n_channels: Channels of every block.

    Raises:
        SettingError: If a band does not fit the sample rate.
    """

    def __init__(self, rate_hz: int, bands: Sequence[Band], *, n_channels: int) -> None:
        self._sections = sos(bands, rate_hz)
        # The loops take channels two by two.
        self._state = np.zeros((len(self._sections), n_channels + n_channels % 2, 2))

    def add(self, block: FloatArray) -> FloatArray:
        """The next samples (channels, samples), filtered."""
        filtered = np.array(block, order="C")
        if len(self._sections):
            _filter(filtered, self._sections, self._state)
        return filtered


def response_db(
    bands: Sequence[Band], rate_hz: int, frequencies_hz: ArrayLike
) -> NDArray[np.float64]:
    """Magnitude of an equaliser at given frequencies.

    Args:
        bands: Bands in order.
        rate_hz: Sample rate in Hz.
        frequencies_hz: Frequencies in Hz, any shape.

    Returns:
        Gain in dB, shape of `frequencies_hz`; -300 where nothing passes.

    Raises:
        SettingError: If a band does not fit the sample rate.

    >>> response_db([Band("peak", 1000.0, gain_db=6.0)], 44100, [1000.0]).round(3)
    array([6.])
    """
    frequencies = np.asarray(frequencies_hz, dtype=np.float64)
    inverse_z = np.exp(-2j * np.pi * frequencies / checked_rate(rate_hz))
    gain = np.ones(frequencies.shape, dtype=np.complex128)
    for b0, b1, b2, a0, a1, a2 in sos(bands, rate_hz):
        numerator = b0 + (b1 + b2 * inverse_z) * inverse_z
        gain *= numerator / (a0 + (a1 + a2 * inverse_z) * inverse_z)
    return np.asarray(gain_to_db(np.abs(gain), floor_db=-300.0), dtype=np.float64)


@njit(cache=True, nogil=True, fastmath=False)
def _filter(samples, sections, state):  # type: ignore[no-untyped-def]
    """Filter in place, in double precision: a float32 biquad at 30 Hz is noisy.

    A biquad waits for its own last result: two channels wait side by side.
    """
    n_samples = samples.shape[1]
    work = np.zeros((_SPAN, 2))
    for channel in range(0, samples.shape[0], 2):
        n_together = min(2, samples.shape[0] - channel)
        for start in range(0, n_samples, _SPAN):
            n_span = min(_SPAN, n_samples - start)
            for other in range(n_together):
                heard = samples[channel + other, start : start + n_span]
                for n in range(n_span):
                    work[n, other] = heard[n]
            memory = state[:, channel : channel + 2]
            n_paired = sections.shape[0] // 2 * 2
            for section in range(0, n_paired, 2):
                _two_sections(work[:n_span], sections[section : section + 2], memory[section:])
            for section in range(n_paired, sections.shape[0]):
                _one_section(work[:n_span], sections[section], memory[section])
            for other in range(n_together):
                heard = samples[channel + other, start : start + n_span]
                for n in range(n_span):
                    heard[n] = work[n, other]


@njit(inline="always")
def _coefficients(section):  # type: ignore[no-untyped-def]
    # Number by number: an array taken apart at once takes seconds to compile.
    return section[0], section[1], section[2], section[4], section[5]


@njit(inline="always")
def _kept(memory):  # type: ignore[no-untyped-def]
    return memory[0, 0], memory[0, 1], memory[1, 0], memory[1, 1]


@njit(inline="always")
def _one_section(work, section, memory):  # type: ignore[no-untyped-def]
    """Transposed direct form II on two channels, (samples, 2)."""
    b0, b1, b2, a1, a2 = _coefficients(section)
    p0, p1, q0, q1 = _kept(memory)
    for n in range(work.shape[0]):
        x, z = work[n, 0], work[n, 1]
        y, w = b0 * x + p0, b0 * z + q0
        p0, q0 = b1 * x - a1 * y + p1, b1 * z - a1 * w + q1
        p1, q1 = b2 * x - a2 * y, b2 * z - a2 * w
        work[n, 0], work[n, 1] = y, w
    memory[0, 0], memory[0, 1], memory[1, 0], memory[1, 1] = p0, p1, q0, q1


@njit(inline="always")
def _two_sections(work, sections, memory):  # type: ignore[no-untyped-def]
    """The same twice, in less than twice the time: the second need not wait for the first."""
    b0, b1, b2, a1, a2 = _coefficients(sections[0])
    d0, d1, d2, c1, c2 = _coefficients(sections[1])
    p0, p1, q0, q1 = _kept(memory[0])
    r0, r1, s0, s1 = _kept(memory[1])
    for n in range(work.shape[0]):
        x, z = work[n, 0], work[n, 1]
        y, w = b0 * x + p0, b0 * z + q0
        p0, q0 = b1 * x - a1 * y + p1, b1 * z - a1 * w + q1
        p1, q1 = b2 * x - a2 * y, b2 * z - a2 * w
        x, z = d0 * y + r0, d0 * w + s0
        r0, s0 = d1 * y - c1 * x + r1, d1 * w - c1 * z + s1
        r1, s1 = d2 * y - c2 * x, d2 * w - c2 * z
        work[n, 0], work[n, 1] = x, z
    memory[0, 0, 0], memory[0, 0, 1], memory[0, 1, 0], memory[0, 1, 1] = p0, p1, q0, q1
    memory[1, 0, 0], memory[1, 0, 1], memory[1, 1, 0], memory[1, 1, 1] = r0, r1, s0, s1
