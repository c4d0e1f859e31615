"""Finding the plate in a mix: its settings, off any grid, and what is sent to it.

A plate explains nothing of a residual unless its size is right to a few tenths of a percent, since
its delays must agree to a sample or so: no descent finds it. But another size is the same impulse
response on another time axis, all pre-delays at once are one transform, and the microphones' sends
come from a small set of equations, so that all sizes can be tried, close enough together to hit
the peak (`drummix.matching.correlations`). The right one stands out eightfold or more; it is then
refined together with decay, damping and cuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize, signal

from drummix.effects.eq import Band, sos
from drummix.effects.plate import PLATE_RATE_HZ, plate
from drummix.matching.correlations import (
    LONGEST_PREDELAY_S,
    ComplexArray,
    Correlations,
    DoubleArray,
    FloatArray,
    correlate,
)

SIZES = (0.25, 1.0)
DECAYS = (0.0, 0.95)
"""Plates are looked for in these ranges, and at pre-delays up to 100 ms."""

_SCAN_TOP_HZ, _SCAN_LENGTH_S = 3000.0, 0.15
_SCAN_STEP = 0.006
"""From size to size, of its logarithm: with 3 kHz and 0.15 s a peak is about twice as wide."""
_SCAN_TONES = tuple((decay, damping) for decay in (0.3, 0.7) for damping in (0.0005, 0.3))
_ZOOM_TOP_HZ, _ZOOM_LENGTH_S = 6000.0, 0.3
_ZOOM_STEP = 0.001
_FINE_TOP_HZ, _FINE_LENGTH_S = 10_000.0, 0.45
_LOOK_STEPS = (-0.0006, -0.0003, 0.0, 0.0003, 0.0006)
_LOOK_LOW_CUTS_HZ = (60.0, 200.0)
_LOOK_HIGH_CUTS_HZ = (2000.0, 4000.0, 7000.0, 12_000.0)
_LEAST_CONTRAST = 3.0
"""The best size explains at least so many times what the best one elsewhere does: without a plate
it is 1 to 1.4 times, with plates of drawn settings, to 10 dB below the rest, 8 times and more."""
_ELSEWHERE = 0.03
_N_CANDIDATES = 3

_LONG_DECAY = 0.6
"""A plate that decays slower is not over within the lags that are looked at."""
_NO_LOW_CUT_HZ, _NO_HIGH_CUT_HZ = 25.0, 16_000.0
_TONE = np.array([False, False, True, True, False, False])
"""Which steps of `_at` change the impulse response before it is cut, delayed and sized."""


@dataclass(frozen=True)
class PlateSettings:
    """Settings of an unmoving plate, named as `drummix.effects.plate.plate` names them."""

    size: float
    decay: float
    damping: float
    predelay_ms: float
    low_cut_hz: float
    high_cut_hz: float

    def to_plain(self, rate_hz: int) -> dict[str, float | None]:
        """Keywords of the effect; cuts that cut nothing are left out."""
        has_high_cut = self.high_cut_hz < min(_NO_HIGH_CUT_HZ, 0.45 * rate_hz)
        return {
            "decay": round(self.decay, 5),
            "size": round(self.size, 6),
            "predelay_ms": round(self.predelay_ms, 4),
            "damping": round(self.damping, 6),
            "low_cut_hz": round(self.low_cut_hz, 2) if self.low_cut_hz > _NO_LOW_CUT_HZ else None,
            "high_cut_hz": round(self.high_cut_hz, 1) if has_high_cut else None,
            "excursion_samples": 0.0,
        }


@dataclass(frozen=True, eq=False)
class FoundPlate:
    """A plate and what feeds it.

    Args:
        settings: Its settings.
        sends: Linear gain of each microphone's mono sound into it, its return's level included.
        even_send: The best gain if all microphones have the same.
        is_mirrored: Whether its left and right are exchanged.
        explained: Share of the (weighted) residual that it explains.
    """

    settings: PlateSettings
    sends: DoubleArray
    even_send: float
    is_mirrored: bool
    explained: float


@lru_cache(maxsize=8)
def _unit_spectrum(decay: float, damping: float, n_samples: int) -> tuple[ComplexArray, int]:
    """Spectrum of a plate of size 1 at its own rate, delay of its middle taken out.

    Four times as fine as its length asks, so that it may be read between its bins; and the length.
    """
    pulse = np.zeros((1, n_samples), np.float32)
    pulse[0, 0] = 1.0
    answer = plate(pulse, PLATE_RATE_HZ, decay=decay, damping=damping, excursion_samples=0.0)
    n_fft = fft.next_fast_len(4 * n_samples, real=True)
    centred = np.roll(np.pad(answer, ((0, 0), (0, n_fft - n_samples))), -(n_samples // 3), axis=1)
    return fft.rfft(centred.astype(np.float64), axis=1), n_fft


def plate_spectra(settings: PlateSettings, known: Correlations) -> ComplexArray:
    """Spectra (2, frequencies) of a plate's impulse response, pre-delay and cuts left out.

    The response ends after what `known` holds, or somewhat before, so that plates of nearly one
    size share their response.
    """
    shared = 2.0 ** (math.ceil(2.0 * math.log2(settings.size) - 1e-9) / 2.0)
    n_samples = int(known.length_s * PLATE_RATE_HZ / min(1.0, shared))
    spectrum, n_fft = _unit_spectrum(settings.decay, settings.damping, n_samples)
    per_bin = settings.size / PLATE_RATE_HZ
    places = known.frequencies_hz * per_bin * n_fft
    bins = np.arange(spectrum.shape[1])
    read = np.stack([np.interp(places, bins, row) for row in spectrum])
    return np.asarray(
        read * np.exp(-2j * np.pi * (n_samples // 3) * known.frequencies_hz * per_bin)
    )


def with_cuts(spectra: ComplexArray, settings: PlateSettings, known: Correlations) -> ComplexArray:
    """The same after pre-delay and cuts."""
    frequencies = known.frequencies_hz
    bands = [Band("high_pass", settings.low_cut_hz)]
    if settings.high_cut_hz < 0.45 * known.source_hz:
        bands.append(Band("low_pass", settings.high_cut_hz))
    _, cut = signal.sosfreqz(sos(bands, known.source_hz), frequencies, fs=known.source_hz)
    delay = np.exp(-2j * np.pi * frequencies * settings.predelay_ms / 1000.0)
    return np.asarray(spectra * (cut * delay))


def find_plate(monos: FloatArray, missing: NDArray[np.floating], rate_hz: int) -> FoundPlate | None:
    """Find the plate whose return is in a residual.

    Args:
        monos: Each microphone as a plate would hear it (mics, samples).
        missing: What the mix has more than those microphones (2, samples).
        rate_hz: Sample rate in Hz.

    Returns:
        The plate; None where no size stands out.
    """
    coarse = correlate(
        monos, missing, rate_hz, top_hz=_SCAN_TOP_HZ, length_s=_SCAN_LENGTH_S, is_balanced=True
    )
    candidates = _scan(coarse)
    if not candidates:
        return None
    nearer = correlate(
        monos, missing, rate_hz, top_hz=_ZOOM_TOP_HZ, length_s=_ZOOM_LENGTH_S, is_balanced=True
    )
    zoomed = max((_zoom(nearer, start) for start in candidates), key=lambda trial: trial.explained)
    return refine_plate(
        monos, missing, rate_hz, start=zoomed.settings, is_mirrored=zoomed.is_mirrored
    )


@dataclass(frozen=True)
class _Trial:
    """A plate tried and the share of the residual that it explains."""

    explained: float
    settings: PlateSettings
    is_mirrored: bool


def _try(known: Correlations, settings: PlateSettings) -> _Trial:
    """A plate at its best pre-delay, its channels as they are or exchanged."""
    spectra = plate_spectra(settings, known)
    found = []
    for is_mirrored in (False, True):
        explained, predelay_ms, _ = known.best_predelay(spectra[::-1] if is_mirrored else spectra)
        found.append(_Trial(explained, replace(settings, predelay_ms=predelay_ms), is_mirrored))
    return max(found, key=lambda trial: trial.explained)


def _scan(known: Correlations) -> list[_Trial]:
    """The sizes that explain most, best first; none if they do not stand out."""
    n_sizes = math.ceil(math.log(SIZES[1] / SIZES[0]) / _SCAN_STEP) + 1
    trials = []
    for size in np.geomspace(*SIZES, n_sizes):
        tones = (PlateSettings(float(size), *tone, 0.0, 100.0, 10_000.0) for tone in _SCAN_TONES)
        trials.append(max((_try(known, tone) for tone in tones), key=lambda t: t.explained))
    found: list[_Trial] = []
    for trial in sorted(trials, key=lambda trial: -trial.explained):
        if len(found) < _N_CANDIDATES and not any(_is_near(trial, other) for other in found):
            found.append(trial)
    if found[0].explained <= _LEAST_CONTRAST * max(found[1].explained, 0.0):
        return []
    return found


def _is_near(one: _Trial, other: _Trial) -> bool:
    return abs(math.log(one.settings.size / other.settings.size)) < _ELSEWHERE


def _zoom(known: Correlations, start: _Trial) -> _Trial:
    """The best size around one that was found."""
    steps = np.arange(-_SCAN_STEP, _SCAN_STEP + 1e-9, _ZOOM_STEP)
    sizes = np.clip(start.settings.size * np.exp(steps), *SIZES)
    tries = (_try(known, replace(start.settings, size=float(size))) for size in sizes)
    return max(tries, key=lambda trial: trial.explained)


def refine_plate(
    monos: FloatArray,
    missing: NDArray[np.floating],
    rate_hz: int,
    *,
    start: PlateSettings,
    is_mirrored: bool,
    is_near: bool = False,
) -> FoundPlate:
    """The settings near given ones that explain most of a residual.

    Args:
        monos: Each microphone as a plate would hear it (mics, samples).
        missing: What the mix has more than those microphones (2, samples).
        rate_hz: Sample rate in Hz.
        start: Settings whose size and pre-delay are nearly right.
        is_mirrored: Whether the plate's channels are exchanged.
        is_near: Whether decay, damping and cuts are nearly right too.
    """
    known = correlate(
        monos, missing, rate_hz, top_hz=_FINE_TOP_HZ, length_s=_FINE_LENGTH_S, is_balanced=False
    )
    order = slice(None, None, -1 if is_mirrored else 1)
    if not is_near:
        start = _look_around(known, start, order)

    def spectra(settings: PlateSettings) -> ComplexArray:
        return with_cuts(plate_spectra(settings, known), settings, known)[order]

    def left_over(point: DoubleArray) -> float:
        return 1.0 - known.explained(spectra(_at(point, start, rate_hz)))[0]

    point = np.zeros(6)
    for spread in (0.4, 0.15) if is_near else (1.0, 0.4, 0.15):
        # The tone needs a new impulse response at every step, the others only another look at it.
        point = _descend(left_over, point, ~_TONE, spread, n_tries=80)
        point = _descend(left_over, point, _TONE, spread, n_tries=20)
    settings = _at(_descend(left_over, point, ~_TONE, 0.15, n_tries=60), start, rate_hz)
    sends, even_send = known.sends(spectra(settings))
    if settings.decay > _LONG_DECAY:
        sent = (sends @ monos).astype(np.float32)[np.newaxis]
        settings = _with_tail(settings, sent, missing[order], rate_hz)
        sends, even_send = known.sends(spectra(settings))
    explained, _ = known.explained(spectra(settings))
    return FoundPlate(settings, sends, even_send, is_mirrored, explained)


def _look_around(known: Correlations, start: PlateSettings, order: slice) -> PlateSettings:
    """The best of a few sizes and cuts near settings: a descent over cuts alone gets stuck."""
    found = (known.explained(with_cuts(plate_spectra(start, known), start, known)[order])[0], start)
    top_hz = 0.4 * known.source_hz
    for step in _LOOK_STEPS:
        sized = replace(start, size=min(max(start.size * math.exp(step), SIZES[0]), SIZES[1]))
        spectra = plate_spectra(sized, known)[order]
        for low_cut_hz in _LOOK_LOW_CUTS_HZ:
            for high_cut_hz in (cut_hz for cut_hz in _LOOK_HIGH_CUTS_HZ if cut_hz < top_hz):
                tried = replace(
                    sized, low_cut_hz=low_cut_hz, high_cut_hz=high_cut_hz, predelay_ms=0.0
                )
                explained, predelay_ms, _ = known.best_predelay(with_cuts(spectra, tried, known))
                if explained > found[0]:
                    found = (explained, replace(tried, predelay_ms=predelay_ms))
    return found[1]


def _descend(
    cost: Callable[[DoubleArray], float],
    start: DoubleArray,
    free: NDArray[np.bool_],
    spread: float,
    *,
    n_tries: int,
) -> DoubleArray:
    """The best point near one, along the free axes only (Nelder and Mead)."""

    def among_all(part: DoubleArray) -> DoubleArray:
        point = start.copy()
        point[free] = part
        return point

    simplex = np.vstack([start[free], start[free] + spread * np.eye(int(np.sum(free)))])
    options = {"initial_simplex": simplex, "maxfev": n_tries, "xatol": 0.003, "fatol": 1e-6}
    found = optimize.minimize(
        lambda part: cost(among_all(part)), start[free], method="Nelder-Mead", options=options
    )
    return among_all(found.x)


def _with_tail(
    settings: PlateSettings, sent: FloatArray, missing: NDArray[np.floating], rate_hz: int
) -> PlateSettings:
    """The same plate with the decay whose whole tail, not its first half second, fits best."""

    def left_over(decay: float) -> float:
        plain = replace(settings, decay=decay).to_plain(rate_hz)
        wet = plate(sent, rate_hz, **plain)  # type: ignore[arg-type]
        return (
            -float(np.vdot(wet, missing))
            * abs(float(np.vdot(wet, missing)))
            / (float(np.vdot(wet, wet)) + 1e-30)
        )

    # Equal steps of what is lost in a turn are equal factors of the time of decay.
    found = optimize.minimize_scalar(
        lambda loss: left_over(1.0 - math.exp(loss)),
        bounds=(math.log(1.0 - DECAYS[1]), math.log(1.0 - 0.5)),
        method="bounded",
        options={"maxiter": 14, "xatol": 0.005},
    )
    return replace(settings, decay=1.0 - math.exp(float(found.x)))


def _at(point: DoubleArray, start: PlateSettings, rate_hz: int) -> PlateSettings:
    """Settings at a point around others; a step of 1 is what is worth a first try."""
    size, predelay, decay, damping, low, high = (float(value) for value in point)
    top_hz = 0.46 * rate_hz
    return PlateSettings(
        size=min(max(start.size * math.exp(0.0004 * size), SIZES[0]), SIZES[1]),
        decay=min(max(start.decay + 0.08 * decay, DECAYS[0]), DECAYS[1]),
        damping=min(max(math.sqrt(start.damping) + 0.15 * damping, 0.0), 0.95) ** 2,
        predelay_ms=min(max(start.predelay_ms + 0.04 * predelay, 0.0), 1000.0 * LONGEST_PREDELAY_S),
        low_cut_hz=min(max(start.low_cut_hz * 2.0 ** (0.5 * low), 10.0), 2000.0),
        high_cut_hz=min(max(start.high_cut_hz * 2.0 ** (0.5 * high), 500.0), top_hz),
    )
