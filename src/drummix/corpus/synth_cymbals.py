"""Cymbals and hi-hats, synthesised from the thousand-odd modes of a thin bronze plate.

In: a cymbal (its modes), a way of playing it, the velocity of a stroke, a random generator.
Out: the sound pressure one metre from its near and its far half, shape (2, samples).
Source: modal density of plates and the rise of energy into the highs after a stroke, Fletcher and
Rossing, The Physics of Musical Instruments, 2nd ed., 1998, chapters 3 and 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.kit import FloatArray
from drummix.corpus.synth_voices import burst, modal_sum, shaped_noise

_BRONZE_M_S = 3400.0
_TOP_HZ = 20000.0
_THIN_HZ = 3000.0


@dataclass(frozen=True)
class Cymbal:
    """The modes of one plate.

    Args:
        frequency_hz: Mode frequencies, ascending, shape (modes,).
        strength: How strongly each half radiates each mode; complex Gaussian, (2, modes).
    """

    frequency_hz: NDArray[np.float64]
    strength: NDArray[np.complex128]


@dataclass(frozen=True)
class Layer:
    """Part of a cymbal's sound: a band of its modes with one way of rising and dying.

    Args:
        level: Relative level.
        band_hz: Low and high corner at full velocity.
        slope: Steepness of the high corner; 1.0 is 12 dB an octave.
        darkening: How far the high corner falls with velocity (exponent).
        t60_s: Decay at low frequencies.
        t60_corner_hz: Above it the decay gets shorter, a little faster than in proportion.
        rise_s: Time the modes at 1 kHz take to build up; higher ones take longer. 0: at once.
        keep: Share of the modes that take part; a few strong ones ring, many hiss.
    """

    level: float
    band_hz: tuple[float, float]
    slope: float
    darkening: float
    t60_s: float
    t60_corner_hz: float
    rise_s: float
    keep: float


@dataclass(frozen=True)
class Touch:
    """One way of playing a cymbal.

    Args:
        layers: Layers of modes, summed.
        stick: Level of the contact noise.
        stick_hz: Its band.
        stick_s: Its T60.
        rattle: Level of two plates rattling on each other (hi-hat).
        rattle_s: T60 of the rattle.
    """

    layers: tuple[Layer, ...]
    stick: float
    stick_hz: tuple[float, float]
    stick_s: float
    rattle: float = 0.0
    rattle_s: float = 0.1


# Layer: level, band in Hz, slope, darkening, T60 s, its corner in Hz, rise s, share of the modes.
# Then the stick: level, band in Hz, T60 s; and the rattle: level, T60 s.
TOUCHES: Mapping[str, Touch] = {
    "HihatClosed": Touch(
        (Layer(1.0, (5500.0, 15000.0), 1.0, 0.25, 0.25, 30000.0, 0.0, 1.0),
         Layer(0.17, (300.0, 1500.0), 1.5, 0.1, 0.26, 6000.0, 0.0, 0.8),
         Layer(0.09, (190.0, 300.0), 2.0, 0.0, 0.45, 2000.0, 0.0, 0.8)),
        0.5, (4500.0, 14000.0), 0.015, 0.30, 0.15,
    ),
    "HihatClosedEdge": Touch(
        (Layer(1.0, (5000.0, 16000.0), 1.0, 0.3, 0.32, 30000.0, 0.0, 1.0),
         Layer(0.22, (300.0, 1500.0), 1.5, 0.1, 0.32, 6000.0, 0.0, 0.8),
         Layer(0.10, (190.0, 300.0), 2.0, 0.0, 0.50, 2000.0, 0.0, 0.8)),
        0.4, (3500.0, 14000.0), 0.020, 0.45, 0.22,
    ),
    "HihatHalfOpen": Touch(
        (Layer(1.0, (4500.0, 16000.0), 1.0, 0.35, 0.85, 20000.0, 0.0015, 1.0),
         Layer(0.22, (280.0, 1300.0), 1.5, 0.1, 0.80, 8000.0, 0.0, 0.8),
         Layer(0.08, (190.0, 300.0), 2.0, 0.0, 0.90, 2000.0, 0.0, 0.8)),
        0.4, (3500.0, 14000.0), 0.020, 0.7, 0.65,
    ),
    "HihatOpen": Touch(
        (Layer(1.0, (3600.0, 15000.0), 1.0, 0.4, 2.4, 10000.0, 0.003, 1.0),
         Layer(0.28, (330.0, 1300.0), 1.5, 0.2, 2.9, 4000.0, 0.002, 0.8)),
        0.4, (3500.0, 14000.0), 0.02, 0.3, 0.9,
    ),
    "HihatPedal": Touch(
        (Layer(1.0, (4500.0, 14000.0), 1.0, 0.3, 0.26, 9000.0, 0.003, 1.0),
         Layer(0.18, (350.0, 1300.0), 1.5, 0.1, 0.32, 5000.0, 0.003, 0.8),
         Layer(0.32, (210.0, 330.0), 2.0, 0.0, 0.50, 2000.0, 0.002, 0.8)),
        0.10, (2500.0, 10000.0), 0.02, 0.25, 0.10,
    ),
    "Ride": Touch(
        (Layer(1.0, (3800.0, 14000.0), 1.0, 0.25, 0.40, 12000.0, 0.0, 0.15),
         Layer(0.35, (330.0, 13000.0), 1.0, 0.4, 7.0, 4500.0, 0.008, 1.0),
         Layer(0.11, (170.0, 1000.0), 1.5, 0.2, 8.0, 3000.0, 0.004, 0.7)),
        0.5, (4500.0, 14000.0), 0.02,
    ),
    "RideBell": Touch(
        (Layer(1.0, (2200.0, 8000.0), 1.0, 0.2, 3.6, 3000.0, 0.0, 0.025),
         Layer(0.5, (3500.0, 13000.0), 1.0, 0.2, 0.40, 12000.0, 0.0, 0.15),
         Layer(0.22, (350.0, 9000.0), 1.0, 0.4, 6.5, 4500.0, 0.008, 1.0),
         Layer(0.16, (200.0, 1000.0), 1.5, 0.2, 6.0, 3000.0, 0.002, 0.4)),
        0.5, (3500.0, 13000.0), 0.015,
    ),
    "Crash1": Touch(
        (Layer(1.0, (850.0, 15000.0), 1.0, 0.75, 4.4, 6500.0, 0.014, 1.0),
         Layer(0.50, (420.0, 1200.0), 1.5, 0.1, 0.75, 4000.0, 0.001, 0.9)),
        0.30, (1500.0, 9000.0), 0.03,
    ),
    "Crash2": Touch(
        (Layer(1.0, (780.0, 14000.0), 1.0, 0.75, 4.8, 6000.0, 0.015, 1.0),
         Layer(0.50, (370.0, 1100.0), 1.5, 0.1, 0.80, 4000.0, 0.001, 0.9)),
        0.30, (1500.0, 9000.0), 0.03,
    ),
    "China": Touch(
        (Layer(1.0, (1200.0, 8000.0), 0.9, 0.6, 4.0, 2400.0, 0.002, 1.0),
         Layer(0.30, (350.0, 1500.0), 1.5, 0.1, 1.2, 3000.0, 0.001, 0.9)),
        0.3, (1500.0, 9000.0), 0.03,
    ),
}  # fmt: skip


def draw_cymbal(diameter_m: float, thickness_m: float, rng: np.random.Generator) -> Cymbal:
    """A cymbal of this size with its own spectrum.

    The mean spacing of the modes is that of a flat plate, thickness * c / (sqrt(3) * area);
    neighbours keep apart from each other as in any irregular plate (Wigner's spacing).

    Args:
        diameter_m: Diameter of the plate.
        thickness_m: Its thickness.
        rng: Source of the spectrum.

    Returns:
        The cymbal.
    """
    area_m2 = np.pi * diameter_m**2 / 4.0
    spacing_hz = thickness_m * _BRONZE_M_S / (np.sqrt(3.0) * area_m2)
    steps = rng.rayleigh(np.sqrt(2.0 / np.pi), int(_TOP_HZ / spacing_hz))
    frequency_hz = 6.0 * spacing_hz + spacing_hz * np.cumsum(steps)
    frequency_hz = frequency_hz[frequency_hz < _TOP_HZ]
    # Where hundreds of modes share a critical band, a part of them sounds like all.
    frequency_hz = frequency_hz[rng.random(len(frequency_hz)) < _kept(frequency_hz)]
    one, two = (_complex_gaussian(rng, frequency_hz.shape) for _ in range(2))
    # Low modes move both halves alike; above a kilohertz the halves know nothing of each other.
    alike = 1.0 / (1.0 + (frequency_hz / 900.0) ** 2)
    strength = np.stack([one, alike * one + np.sqrt(1.0 - alike**2) * two])
    return Cymbal(frequency_hz, strength)


def _kept(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the modes that `draw_cymbal` keeps; `_layer` lifts those by what is missing."""
    return np.clip(_THIN_HZ / frequency_hz, 0.35, 1.0)


def cymbal_strike(
    cymbal: Cymbal,
    touch: Touch,
    velocity: float,
    rng: np.random.Generator,
    *,
    n_samples: int,
    rate_hz: int,
) -> FloatArray:
    """One stroke on a cymbal.

    Args:
        cymbal: The cymbal.
        touch: How it is played.
        velocity: 0 to 1; harder strokes are brighter and take longer to build up.
        rng: Where exactly the stick lands.
        n_samples: Length.
        rate_hz: Sample rate.

    Returns:
        Pressure at its near and far half, shape (2, samples), peak about 1.0.
    """
    halves = np.zeros((2, n_samples), np.float32)
    for layer in touch.layers:
        halves += _layer(cymbal, layer, velocity, rng, n_samples=n_samples, rate_hz=rate_hz)
    halves /= np.sqrt(np.mean(halves[:, : rate_hz // 25] ** 2)) * 4.0
    stick_hz = (touch.stick_hz[0], touch.stick_hz[1] * velocity**0.3)
    stick = burst(rng, n_samples, stick_hz, touch.stick_s, rate_hz=rate_hz)
    halves += touch.stick * velocity**0.3 * np.array([[1.0], [0.7]], np.float32) * stick
    if touch.rattle > 0.0:
        for half in halves:
            half += touch.rattle * _rattle(touch, velocity, rng, n_samples, rate_hz=rate_hz)
    n_ramp = rate_hz // 4000
    halves[:, :n_ramp] *= np.linspace(0.0, 1.0, n_ramp, dtype=np.float32)
    return halves


def _layer(
    cymbal: Cymbal,
    layer: Layer,
    velocity: float,
    rng: np.random.Generator,
    *,
    n_samples: int,
    rate_hz: int,
) -> FloatArray:
    low_hz, high_hz = layer.band_hz
    high_hz *= velocity**layer.darkening
    # The same few modes speak at every stroke, so the choice belongs to the cymbal.
    chosen = np.argsort(np.abs(cymbal.strength[0]) + np.abs(cymbal.strength[1]))
    inside = chosen[(cymbal.frequency_hz[chosen] > 0.5 * low_hz)]
    chosen = np.sort(inside[-max(8, int(layer.keep * len(inside))) :])
    f_hz = cymbal.frequency_hz[chosen]
    lift = (f_hz / low_hz) ** 2
    shape = lift / (1.0 + lift) / (1.0 + (f_hz / high_hz) ** 2) ** layer.slope
    audible = (shape > 3e-3 * shape.max()) & (f_hz < 0.47 * rate_hz)
    f_hz, chosen, shape = f_hz[audible], chosen[audible], shape[audible]
    # Another spot on the plate at every stroke: part of each mode's share is drawn anew.
    fresh = _complex_gaussian(rng, (2, len(f_hz)))
    share = 1.0 / np.sqrt(_kept(f_hz))
    amplitude = share * shape * (0.85 * cymbal.strength[:, chosen] + 0.5 * fresh)
    t60_s = layer.t60_s / (1.0 + (f_hz / layer.t60_corner_hz) ** 1.2)
    sound = modal_sum(f_hz, t60_s, amplitude, n_samples=n_samples, rate_hz=rate_hz)
    if layer.rise_s > 0.0:
        rise_s = layer.rise_s * (0.4 + 0.6 * velocity) * np.sqrt(f_hz / 1000.0)
        n_rise = min(n_samples, int(7.0 * rise_s.max() * rate_hz))
        fast_s = 1.0 / (1.0 / t60_s + 1.0 / (6.9 * rise_s))
        sound[:, :n_rise] -= modal_sum(f_hz, fast_s, amplitude, n_samples=n_rise, rate_hz=rate_hz)
    return sound * np.float32(layer.level / np.sqrt(((share * shape) ** 2).sum()))


def _rattle(
    touch: Touch, velocity: float, rng: np.random.Generator, n_samples: int, *, rate_hz: int
) -> FloatArray:
    """Two plates meeting again and again: bright noise whose level flutters."""
    n_rattle = min(n_samples, int(1.25 * touch.rattle_s * rate_hz))
    band_hz = (4500.0, 9000.0 + 4000.0 * velocity)
    noise = shaped_noise(rng, n_rattle, band_hz, rate_hz=rate_hz)
    flutter = np.abs(shaped_noise(rng, n_rattle, (20.0, 90.0), rate_hz=rate_hz))
    time_s = np.arange(n_rattle) / rate_hz
    envelope = 10.0 ** (-3.0 * time_s / touch.rattle_s) * (1.0 - np.exp(-time_s / 0.002))
    sound = np.zeros(n_samples, np.float32)
    sound[:n_rattle] = 0.25 * noise * (0.5 + 0.6 * flutter) * envelope
    return sound


def _complex_gaussian(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    draws = rng.standard_normal((*shape, 2))
    return (draws[..., 0] + 1j * draws[..., 1]) / np.sqrt(2.0)
