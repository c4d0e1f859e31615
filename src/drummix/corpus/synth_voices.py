"""Drums with heads, synthesised: kick, snare, rimshot, side stick, toms.

In: a drum (its size and tuning), the velocity of a stroke, a random generator.
Out: a `Strike`, the sound pressure one metre from each patch of the drum that radiates.
Source: membrane modes and the coupling of two heads after Fletcher and Rossing, The Physics of
Musical Instruments, 2nd ed., 1998, chapters 3 and 18. Levels and decays are fitted by ear and eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates
from scipy.special import jn_zeros, jv

from drummix.corpus.kit import FloatArray

Strike = Mapping[str, FloatArray]

# (diameters m, circles n) of the modes of a circular membrane, with the zero of J_m at its rim.
_MODES = tuple((m, n + 1, float(z)) for m in range(11) for n, z in enumerate(jn_zeros(m, 4)))
_ORDER = np.array([m for m, _, _ in _MODES])
_ZERO = np.array([z for _, _, z in _MODES])
_RATIO = _ZERO / _ZERO[0]
_BLOCK = 512
_ROWS, _TERMS = 16, 32


@dataclass(frozen=True)
class Drum:
    """One drum: two heads on a shell.

    Args:
        fundamental_hz: Lower (0,1) mode, both heads moving together.
        split: Upper (0,1) mode, heads moving against each other, relative to the lower.
        decay_s: T60 of the fundamental.
        damping: Exponent of the fall of T60 with frequency.
        glide: Rise of pitch at the onset of the hardest stroke, as a fraction.
        glide_s: Time constant of the fall back to the fundamental.
        contact_hz: High cut of the hardest stroke: how hard beater or stick is.
        strike_radius: Where it is struck: 0 in the centre, 1 at the rim.
        attack: Level of the contact noise relative to the head.
        attack_band_hz: Band of the contact noise.
        buzz: Level of the snare wires (of the snare drum nearby, for other drums).
    """

    fundamental_hz: float
    split: float
    decay_s: float
    damping: float
    glide: float
    glide_s: float
    contact_hz: float
    strike_radius: float
    attack: float
    attack_band_hz: tuple[float, float]
    buzz: float


# Hz, split, T60 s, damping, glide, glide s, contact Hz, radius, attack, its band in Hz, buzz
KICK = Drum(54.0, 1.95, 0.40, 0.70, 0.50, 0.022, 135.0, 0.12, 0.55, (1700.0, 4600.0), 0.012)
SNARE = Drum(190.0, 1.72, 0.38, 0.50, 0.05, 0.030, 430.0, 0.28, 0.50, (1500.0, 6500.0), 0.40)
TOMS: Mapping[str, Drum] = {
    "tom_1": Drum(148.0, 1.45, 1.9, 0.85, 0.06, 0.07, 330.0, 0.25, 0.35, (1500.0, 4800.0), 0.030),
    "tom_2": Drum(117.0, 1.45, 2.2, 0.85, 0.07, 0.08, 280.0, 0.25, 0.35, (1400.0, 4500.0), 0.025),
    "tom_3": Drum(90.0, 1.45, 2.5, 0.85, 0.08, 0.09, 230.0, 0.25, 0.35, (1300.0, 4200.0), 0.018),
    "tom_4": Drum(71.0, 1.45, 2.8, 0.85, 0.08, 0.10, 200.0, 0.25, 0.35, (1200.0, 3900.0), 0.014),
}


def draw_drum(drum: Drum, rng: np.random.Generator) -> Drum:
    """A drum of another kit: tuned, damped and struck a little differently."""
    return replace(
        drum,
        fundamental_hz=drum.fundamental_hz * rng.uniform(0.95, 1.05),
        split=drum.split * rng.uniform(0.96, 1.04),
        decay_s=drum.decay_s * rng.uniform(0.8, 1.2),
        glide=drum.glide * rng.uniform(0.8, 1.2),
        contact_hz=drum.contact_hz * rng.uniform(0.85, 1.15),
        strike_radius=drum.strike_radius * rng.uniform(0.8, 1.2),
        buzz=drum.buzz * rng.uniform(0.75, 1.25),
    )


def modal_sum(
    frequency_hz: NDArray[np.float64],
    t60_s: NDArray[np.float64],
    amplitude: NDArray[np.complex128],
    *,
    n_samples: int,
    rate_hz: int,
) -> FloatArray:
    """Sum of decaying sinusoids, as two matrix products.

    Args:
        frequency_hz: Frequency of each mode, shape (modes,).
        t60_s: Time in which each mode falls by 60 dB, shape (modes,).
        amplitude: Real part is the cosine, minus the imaginary part the sine; (rows, modes).
        n_samples: Length of the result.
        rate_hz: Sample rate.

    Returns:
        One sum per row of `amplitude`, shape (rows, samples).

    >>> one = modal_sum(np.array([0.0]), np.array([1.0]), np.array([[1.0 + 0j]]),
    ...                 n_samples=101, rate_hz=100)
    >>> one[0, [0, 100]].round(4).tolist()
    [1.0, 0.0010000000474974513]
    """
    sound = np.zeros((len(amplitude), n_samples), np.float32)
    # Most modes of a cymbal are gone long before the last: those are summed over less time.
    n_alive = np.minimum(1.3 * t60_s * rate_hz, n_samples)
    shorter = 0
    for n_long in (n_samples * sixths // 6 for sixths in range(1, 7)):
        group = (n_alive > shorter) & (n_alive <= n_long)
        shorter = n_long
        if not group.any():
            continue
        decay = 3.0 * np.log(10.0) / t60_s[group]
        pole = np.exp((2j * np.pi * frequency_hz[group] - decay) / rate_hz)
        within = _powers(pole, _BLOCK).astype(np.complex64)
        n_blocks = -(-n_long // (_BLOCK * _ROWS)) * _ROWS
        starts = _powers(pole**_BLOCK, n_blocks).astype(np.complex64)
        scaled = amplitude[:, None, group].astype(np.complex64) * starts
        left = np.concatenate([scaled.real, scaled.imag], axis=-1)
        right = np.concatenate([within.real.T, -within.imag.T], axis=0)
        sound[:, :n_long] += _product(left, right).reshape(len(amplitude), -1)[:, :n_long]
    return sound


def _sines(level: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Amplitudes of one sum whose modes all start at zero."""
    amplitude = np.zeros((1, len(level)), np.complex128)
    amplitude.imag = -level
    return amplitude


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Matrix product in pieces too small for BLAS to spread over threads.

    So the samples are the same whatever the number of cores, and no thread waits for another.
    """
    n_blocks, n_terms = left.shape[-2:]
    pieces = left.reshape(-1, _ROWS, n_terms)
    product = np.zeros((len(pieces), _ROWS, right.shape[-1]), np.float32)
    for start in range(0, n_terms, _TERMS):
        product += pieces[..., start : start + _TERMS] @ right[start : start + _TERMS]
    return product.reshape(-1, n_blocks, right.shape[-1])


def _powers(base: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    """Powers 0 to count - 1 of each base, (count, bases), by doubling: far cheaper than exp."""
    powers = np.ones((1, len(base)), np.complex128)
    while len(powers) < count:
        powers = np.concatenate([powers, powers * (powers[-1] * base)])
    return powers[:count]


def shaped_noise(
    rng: np.random.Generator, n_samples: int, band_hz: tuple[float, float], *, rate_hz: int
) -> FloatArray:
    """Gaussian noise of RMS 1.0 between two second-order slopes."""
    n_fft = 1 << max(8, int(np.ceil(np.log2(n_samples))))
    frequency_hz = fft.rfftfreq(n_fft, 1.0 / rate_hz).astype(np.float32)
    low, high = band_hz
    high = min(high, 0.45 * rate_hz)
    slope = (frequency_hz / low) ** 2 / (1.0 + (frequency_hz / low) ** 2)
    slope /= 1.0 + (frequency_hz / high) ** 4
    white = rng.standard_normal(n_fft, np.float32)
    noise: FloatArray = fft.irfft(fft.rfft(white) * slope, n_fft)
    return (noise / noise.std())[:n_samples]


def burst(
    rng: np.random.Generator,
    n_samples: int,
    band_hz: tuple[float, float],
    decay_s: float,
    *,
    rate_hz: int,
) -> FloatArray:
    """A noise burst of peak about 1.0: rise within 0.2 ms, then exponential with this T60."""
    n_burst = min(n_samples, int(1.3 * decay_s * rate_hz))
    time_s = np.arange(n_burst) / rate_hz
    envelope = (1.0 - np.exp(-time_s / 0.0002)) * 10.0 ** (-3.0 * time_s / decay_s)
    sound = np.zeros(n_samples, np.float32)
    sound[:n_burst] = 0.4 * shaped_noise(rng, n_burst, band_hz, rate_hz=rate_hz) * envelope
    return sound


def membrane(
    drum: Drum, velocity: float, rng: np.random.Generator, *, n_samples: int, rate_hz: int
) -> tuple[FloatArray, FloatArray]:
    """Both heads after a stroke on the upper one.

    Args:
        drum: The drum.
        velocity: 0 to 1; harder strokes are brighter and glide further.
        rng: Where exactly the stick lands.
        n_samples: Length.
        rate_hz: Sample rate.

    Returns:
        Struck head and far head, pressure outwards, the struck one with a peak of about 1.0.
    """
    rho = np.clip(drum.strike_radius + rng.normal(0.0, 0.03), 0.03, 0.9)
    shape = jv(_ORDER, _ZERO * rho) / np.abs(jv(_ORDER + 1, _ZERO))
    shape *= np.where(_ORDER > 0, np.sqrt(2.0) * np.cos(_ORDER * rng.normal(0.3, 0.15)), 1.0)
    together_hz = drum.fundamental_hz * _RATIO * np.exp(rng.normal(0.0, 0.0015, len(_RATIO)))
    # Air couples the heads: strongly for the lowest round mode, hardly for the rest.
    coupling = np.where(_ORDER == 0, (drum.split - 1.0) / _RATIO**2, 0.012)
    frequency_hz = np.concatenate([together_hz, together_hz * (1.0 + coupling)])
    amplitude = np.concatenate([shape, 0.8 * shape])
    cut_hz = drum.contact_hz * velocity**0.45
    amplitude = -1j * amplitude / (1.0 + 1j * frequency_hz / cut_hz) ** 2
    t60_s = drum.decay_s * (frequency_hz / drum.fundamental_hz) ** -drum.damping
    t60_s[len(_RATIO)] *= 0.7  # heads moving against each other: a monopole, it radiates more
    far = 0.6 * amplitude * np.repeat([-1.0, 1.0], len(_RATIO)) / (1.0 + frequency_hz / 900.0)
    heard = frequency_hz < 0.4 * rate_hz
    heads = modal_sum(
        frequency_hz[heard],
        t60_s[heard],
        np.stack([amplitude, far])[:, heard],
        n_samples=int(n_samples * 1.02) + rate_hz // 50,
        rate_hz=rate_hz,
    )
    glide = drum.glide * velocity**1.5 * rng.uniform(0.9, 1.1)
    struck, resonant = (_glided(h, glide, drum.glide_s, n_samples, rate_hz) for h in heads)
    # A peak hangs on how the modes happen to meet; the energy of the first 60 ms does not.
    loudness = np.sqrt(np.mean(struck[: int(0.06 * rate_hz)] ** 2)) / 0.3
    return struck / loudness, resonant / loudness


def _glided(
    sound: FloatArray, glide: float, glide_s: float, n_samples: int, rate_hz: int
) -> FloatArray:
    """Plays the start faster: pitch falls from 1 + glide to 1 with time constant `glide_s`."""
    time = np.arange(n_samples, dtype=np.float64)
    tau = glide_s * rate_hz
    warped = time + glide * tau * (1.0 - np.exp(-time / tau))
    gliding: FloatArray = map_coordinates(sound, warped[None], order=3, mode="constant")
    return gliding.astype(np.float32)


def wires(
    drive: FloatArray, velocity: float, rng: np.random.Generator, *, rate_hz: int
) -> FloatArray:
    """Snare wires rattling on a head that moves: noise that follows the motion.

    Args:
        drive: Motion of the lower head, or of another drum nearby.
        velocity: 0 to 1; harder strokes rattle higher.
        rng: The noise.
        rate_hz: Sample rate.

    Returns:
        Noise of the wires, about as loud as `drive`.
    """
    time_s = np.arange(len(drive)) / rate_hz
    smoothing = np.exp(-time_s[: rate_hz // 10] / 0.012) / (0.012 * rate_hz)
    n_fft = fft.next_fast_len(len(drive) + len(smoothing), real=True)
    moved = fft.rfft(np.abs(drive), n_fft) * fft.rfft(smoothing.astype(np.float32), n_fft)
    envelope = np.sqrt(np.maximum(fft.irfft(moved, n_fft)[: len(drive)], 0.0))
    # Resting on the head they lose energy to it, the sooner the fainter it moves.
    envelope *= (1.0 - np.exp(-((time_s / 0.0015) ** 2))) * 10.0 ** (-3.0 * time_s / 1.6)
    # The wires lift off and slap back once a period.
    slap = 0.7 + 0.6 * np.clip(drive / (np.abs(drive).max() + 1e-9), -1.0, 1.0)
    band_hz = (1800.0, 4500.0 + 3500.0 * velocity)
    noise = shaped_noise(rng, len(drive), band_hz, rate_hz=rate_hz)
    buzzing: FloatArray = (noise * envelope * slap).astype(np.float32)
    return buzzing


def kick_strike(drum: Drum, velocity: float, rng: np.random.Generator, *, rate_hz: int) -> Strike:
    """Kick drum: two heads, falling pitch, air in the shell, click of the beater, snare buzz."""
    n_samples = int(0.75 * rate_hz)
    struck, far = membrane(drum, velocity, rng, n_samples=n_samples, rate_hz=rate_hz)
    air_hz, air_s, air_level = (np.array([drum.fundamental_hz * 1.35]), np.array([0.22]), -0.5j)
    air = modal_sum(air_hz, air_s, np.array([[air_level]]), n_samples=n_samples, rate_hz=rate_hz)[0]
    click_hz = (drum.attack_band_hz[0], drum.attack_band_hz[1] * (0.45 + 0.55 * velocity))
    click = burst(rng, n_samples, click_hz, 0.022, rate_hz=rate_hz)
    click *= drum.attack * velocity**1.1
    buzz = wires(far, 0.3, rng, rate_hz=rate_hz)
    return {
        "kick_batter": struck + air + click,
        "kick_front": 1.5 * far + 0.3 * air + 0.1 * click,
        "snare_bottom": drum.buzz * buzz,
    }


def tom_strike(
    patch: str, drum: Drum, velocity: float, rng: np.random.Generator, *, rate_hz: int
) -> Strike:
    """Tom: membrane modes with falling pitch, stick attack, buzz of the snare nearby."""
    n_samples = int(1.15 * drum.decay_s * rate_hz)
    struck, far = membrane(drum, velocity, rng, n_samples=n_samples, rate_hz=rate_hz)
    stick = burst(rng, n_samples, drum.attack_band_hz, 0.018, rate_hz=rate_hz)
    slap = burst(rng, n_samples, (300.0, 1800.0), 0.05, rate_hz=rate_hz)
    buzz = wires(struck, 0.3, rng, rate_hz=rate_hz)
    attack = drum.attack * velocity**0.9 * (stick + 0.8 * slap)
    return {patch: struck + 0.35 * far + attack, "snare_bottom": drum.buzz * buzz}


def snare_strike(drum: Drum, velocity: float, rng: np.random.Generator, *, rate_hz: int) -> Strike:
    """Snare drum, struck off the centre: heads, crack of the stick, wires."""
    n_samples = int(0.9 * rate_hz)
    struck, far = membrane(drum, velocity, rng, n_samples=n_samples, rate_hz=rate_hz)
    crack = burst(rng, n_samples, drum.attack_band_hz, 0.016, rate_hz=rate_hz)
    slap = burst(rng, n_samples, (500.0, 2500.0), 0.045, rate_hz=rate_hz)
    # Soft strokes buzz more for their level than hard ones: the wires hardly need any force.
    below, above = (wires(far, velocity, rng, rate_hz=rate_hz) for _ in range(2))
    level = drum.buzz * velocity**-0.15
    attack = drum.attack * velocity**0.7 * (crack + 0.7 * slap)
    return {
        "snare_top": struck + attack + 0.3 * level * above,
        "snare_bottom": far + level * below,
    }


def rimshot_strike(
    drum: Drum, velocity: float, rng: np.random.Generator, *, rate_hz: int
) -> Strike:
    """Rimshot: a snare stroke with the rim and the shell ringing along."""
    harder = replace(drum, contact_hz=drum.contact_hz * 1.5, attack=drum.attack * 2.2)
    body = snare_strike(harder, velocity, rng, rate_hz=rate_hz)
    n_samples = len(body["snare_top"])
    ring_hz = drum.fundamental_hz * np.array([2.36, 4.05, 5.83, 8.4, 12.1])
    level = np.array([0.30, 0.30, 0.18, 0.14, 0.10]) * rng.uniform(0.7, 1.3, 5)
    t60_s = np.array([0.40, 0.34, 0.22, 0.16, 0.10])
    ring = modal_sum(ring_hz, t60_s, _sines(level), n_samples=n_samples, rate_hz=rate_hz)[0]
    return {
        "snare_top": body["snare_top"] + velocity**0.3 * ring,
        "snare_bottom": body["snare_bottom"] + 0.3 * velocity**0.3 * ring,
    }


def side_stick_strike(
    drum: Drum, velocity: float, rng: np.random.Generator, *, rate_hz: int
) -> Strike:
    """Side stick: the stick lies on the head and knocks on the rim; a woody click, little head."""
    n_samples = int(0.5 * rate_hz)
    wood_hz = drum.fundamental_hz * np.array([2.1, 4.6, 8.7, 12.6, 17.0])
    wood_hz = wood_hz * np.exp(rng.normal(0.0, 0.01, 5))
    level = np.array([0.10, 0.65, 0.75, 0.60, 0.45]) * rng.uniform(0.8, 1.2, 5)
    level = level * velocity ** np.array([0.0, 0.05, 0.15, 0.3, 0.45])
    t60_s = np.array([0.16, 0.11, 0.075, 0.06, 0.045])
    wood = modal_sum(wood_hz, t60_s, _sines(level), n_samples=n_samples, rate_hz=rate_hz)[0]
    muffled = replace(drum, decay_s=0.16, glide=0.0, contact_hz=500.0)
    struck, far = membrane(muffled, velocity, rng, n_samples=n_samples, rate_hz=rate_hz)
    click = burst(rng, n_samples, (2800.0, 5000.0 + 6000.0 * velocity), 0.016, rate_hz=rate_hz)
    rattle = 0.12 * drum.buzz * wires(far, velocity, rng, rate_hz=rate_hz)
    return {
        "snare_top": wood + 0.15 * struck + 1.3 * click,
        "snare_bottom": 0.25 * wood + 0.25 * far + rattle,
    }
