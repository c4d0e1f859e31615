"""The built-in drum kit: eighteen articulations heard by twelve microphones, made from nothing.

In: a seed. Out: a `Kit`, as the readers of recorded kits return it.
The drums are in `synth_voices`, the cymbals in `synth_cymbals`, the microphones in `synth_mics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.corpus.synth_cymbals import TOUCHES, Cymbal, Touch, cymbal_strike, draw_cymbal
from drummix.corpus.synth_mics import draw_setup, impulse_responses
from drummix.corpus.synth_voices import (
    KICK,
    SNARE,
    TOMS,
    Strike,
    draw_drum,
    kick_strike,
    rimshot_strike,
    side_stick_strike,
    snare_strike,
    tom_strike,
)
from drummix.errors import SettingError

SOFTEST_VELOCITY = 0.14
TRIM_DBFS = -75.0
_FADE_S = 0.012

_StrikeFunction = Callable[[float, np.random.Generator], Strike]

NOTE_MAP: Mapping[int, str] = {
    22: "HihatClosedEdge",
    26: "HihatOpen",
    35: "Kick",
    36: "Kick",
    37: "SnareSidestick",
    38: "Snare",
    40: "SnareRimshot",
    41: "Tom4",
    42: "HihatClosed",
    43: "Tom4",
    44: "HihatPedal",
    45: "Tom3",
    46: "HihatHalfOpen",
    47: "Tom2",
    48: "Tom1",
    49: "Crash1",
    50: "Tom1",
    51: "Ride",
    52: "China",
    53: "RideBell",
    55: "Crash1",
    57: "Crash2",
    58: "Tom4",
    59: "Ride",
}

CHOKES: Mapping[str, tuple[str, ...]] = {
    "HihatPedal": ("HihatOpen", "HihatHalfOpen"),
    "HihatClosed": ("HihatOpen", "HihatHalfOpen"),
    "HihatClosedEdge": ("HihatOpen", "HihatHalfOpen"),
    "HihatHalfOpen": ("HihatOpen",),
}


@dataclass(frozen=True)
class Articulation:
    """One instrument of the kit before it is heard by any microphone.

    Args:
        piece: The piece it belongs to.
        main_channels: The microphones that face it.
        patches: Where it radiates from.
        level_db: Level at one metre of the hardest stroke, relative to a crash.
        dynamics: Exponent from velocity to amplitude.
    """

    piece: Piece
    main_channels: tuple[str, ...]
    patches: tuple[str, ...]
    level_db: float
    dynamics: float


def _toms() -> dict[str, Articulation]:
    return {
        f"Tom{n}": Articulation(
            Piece(f"tom_{n}"), (f"Tom{n}",), (f"tom_{n}", "snare_bottom"), level_db, 1.35
        )
        for n, level_db in ((1, 1.5), (2, 2.0), (3, 2.5), (4, 3.0))
    }


def _hats() -> dict[str, Articulation]:
    patches = ("hihat_near", "hihat_far")
    return {
        name: Articulation(Piece.HIHAT, ("Hihat",), patches, level_db, 1.4)
        for name, level_db in (
            ("HihatClosed", -5.0),
            ("HihatClosedEdge", -3.0),
            ("HihatHalfOpen", -2.0),
            ("HihatOpen", -3.0),
            ("HihatPedal", -11.0),
        )
    }


def _cymbal(piece: Piece, name: str, mic: str, level_db: float, dynamics: float) -> Articulation:
    return Articulation(piece, (mic,), (f"{name}_near", f"{name}_far"), level_db, dynamics)


_SNARE_MICS = ("SnareTop",)
_SNARE_PATCHES = ("snare_top", "snare_bottom")

ARTICULATIONS: Mapping[str, Articulation] = {
    "Kick": Articulation(
        Piece.KICK, ("KickIn",), ("kick_batter", "kick_front", "snare_bottom"), -3.0, 1.15
    ),
    "Snare": Articulation(Piece.SNARE, _SNARE_MICS, _SNARE_PATCHES, -0.5, 1.4),
    "SnareRimshot": Articulation(Piece.SNARE, _SNARE_MICS, _SNARE_PATCHES, 1.0, 1.4),
    "SnareSidestick": Articulation(Piece.SNARE, _SNARE_MICS, _SNARE_PATCHES, -3.0, 1.3),
    **_toms(),
    **_hats(),
    "Ride": _cymbal(Piece.RIDE, "ride", "OHR", -8.0, 1.3),
    "RideBell": _cymbal(Piece.RIDE, "ride", "OHR", -5.0, 1.3),
    "Crash1": _cymbal(Piece.CRASH, "crash_1", "OHL", 0.0, 1.6),
    "Crash2": _cymbal(Piece.CRASH, "crash_2", "OHR", 0.0, 1.6),
    "China": _cymbal(Piece.CRASH, "china", "OHR", 0.5, 1.5),
}

# Cymbal -> diameter, thickness (m); seconds rendered per articulation.
_PLATES: Mapping[str, tuple[float, float]] = {
    "hihat": (0.356, 0.0011),
    "ride": (0.508, 0.0016),
    "crash_1": (0.406, 0.0009),
    "crash_2": (0.457, 0.0010),
    "china": (0.457, 0.0010),
}
_CYMBAL_S: Mapping[str, float] = {
    "HihatClosed": 0.35,
    "HihatClosedEdge": 0.45,
    "HihatHalfOpen": 0.9,
    "HihatOpen": 2.4,
    "HihatPedal": 0.45,
    "Ride": 5.0,
    "RideBell": 4.5,
    "Crash1": 4.2,
    "Crash2": 4.6,
    "China": 2.4,
}

# Preamp gains are set as at a sound check: these strokes, at their hardest, peak at this level.
_GAIN_STAGING: tuple[tuple[tuple[str, ...], tuple[str, ...], float], ...] = (
    (("KickIn",), ("Kick",), -8.0),
    (("SnareTop",), ("Snare",), -7.0),
    (("SnareBottom",), ("Snare",), -10.0),
    (("Hihat",), ("HihatClosed", "HihatClosedEdge", "HihatHalfOpen", "HihatOpen"), -13.0),
    (("Tom1",), ("Tom1",), -8.0),
    (("Tom2",), ("Tom2",), -8.0),
    (("Tom3",), ("Tom3",), -8.0),
    (("Tom4",), ("Tom4",), -8.0),
    (("OHL", "OHR"), ("Crash1", "Crash2"), -13.5),
    (("RoomL", "RoomR"), ("Kick", "Snare"), -12.0),
)


def synth_kit(seed: int = 0, *, rate_hz: int = 44100, hits_per_instrument: int = 6) -> Kit:
    """Makes a drum kit.

    Another seed is another kit: sizes, tuning, damping, cymbals, room and microphone places
    differ. The same arguments give the same samples.

    Args:
        seed: Which kit.
        rate_hz: Sample rate, 22050 or higher.
        hits_per_instrument: Strokes per articulation, softest to hardest in equal steps of dB.

    Returns:
        The kit, each hit as heard by all twelve microphones; onsets are late by the travel time.

    Raises:
        SettingError: If the seed or the number of hits is out of range, or the rate is too low.
    """
    if rate_hz < 22050:
        raise SettingError("rate_hz", rate_hz, "the built-in kit needs 22050 or more")
    if hits_per_instrument < 1:
        raise SettingError("hits_per_instrument", hits_per_instrument, "give 1 or more")
    if seed < 0:
        raise SettingError("seed", seed, "give 0 or more")
    studio = _open_studio(seed, rate_hz)
    velocities = layer_velocities(hits_per_instrument)
    gain = _sound_check(studio)
    instruments = {
        name: _record(studio, name, velocities=velocities, gain=gain) for name in ARTICULATIONS
    }
    return Kit(
        name=f"synthkit-{seed}",
        rate_hz=rate_hz,
        channels=studio.channels,
        instruments=instruments,
        note_map=NOTE_MAP,
        licence="MIT",
        chokes=CHOKES,
    )


def layer_velocities(hits_per_instrument: int) -> NDArray[np.float64]:
    """Velocities of the strokes of one instrument, softest first, the last one 1.0.

    >>> layer_velocities(3).round(2).tolist()
    [0.14, 0.37, 1.0]
    >>> layer_velocities(1).tolist()
    [1.0]
    """
    if hits_per_instrument == 1:
        return np.ones(1)
    return np.geomspace(SOFTEST_VELOCITY, 1.0, hits_per_instrument)


@dataclass(frozen=True)
class _Studio:
    """One kit, set up and miked: what `synth_kit` records."""

    seed: int
    rate_hz: int
    channels: tuple[str, ...]
    strikes: Mapping[str, _StrikeFunction]
    responses: Mapping[str, FloatArray]


def _rng(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """A stream of its own for each purpose: adding a hit leaves all others as they were."""
    return np.random.default_rng([seed, index, *purpose.encode()])


def _open_studio(seed: int, rate_hz: int) -> _Studio:
    setup = draw_setup(_rng(seed, "setup"))
    rooms: dict[tuple[str, ...], FloatArray] = {}
    for articulation in ARTICULATIONS.values():
        patches = articulation.patches
        if patches not in rooms:
            rng = _rng(seed, "room " + " ".join(patches))
            rooms[patches] = impulse_responses(setup, patches, rate_hz=rate_hz, rng=rng)
    return _Studio(
        seed=seed,
        rate_hz=rate_hz,
        channels=tuple(setup.microphones),
        strikes=_strike_functions(seed, rate_hz),
        responses={name: rooms[a.patches] for name, a in ARTICULATIONS.items()},
    )


def _strike_functions(seed: int, rate_hz: int) -> dict[str, _StrikeFunction]:
    kick = draw_drum(KICK, _rng(seed, "kick"))
    snare = draw_drum(SNARE, _rng(seed, "snare"))
    functions: dict[str, _StrikeFunction] = {
        "Kick": partial(kick_strike, kick, rate_hz=rate_hz),
        "Snare": partial(snare_strike, snare, rate_hz=rate_hz),
        "SnareRimshot": partial(rimshot_strike, snare, rate_hz=rate_hz),
        "SnareSidestick": partial(side_stick_strike, snare, rate_hz=rate_hz),
    }
    for n, (patch, tom) in enumerate(TOMS.items(), start=1):
        drum = draw_drum(tom, _rng(seed, patch))
        functions[f"Tom{n}"] = partial(tom_strike, patch, drum, rate_hz=rate_hz)
    plates = {name: draw_cymbal(*size, _rng(seed, name)) for name, size in _PLATES.items()}
    for name, seconds in _CYMBAL_S.items():
        patches = ARTICULATIONS[name].patches
        plate = plates[patches[0].removesuffix("_near")]
        n_samples = int(seconds * rate_hz)
        functions[name] = partial(
            _cymbal_strike, patches, plate, TOUCHES[name], n_samples=n_samples, rate_hz=rate_hz
        )
    return functions


def _cymbal_strike(
    patches: tuple[str, ...],
    cymbal: Cymbal,
    touch: Touch,
    velocity: float,
    rng: np.random.Generator,
    *,
    n_samples: int,
    rate_hz: int,
) -> Strike:
    halves = cymbal_strike(cymbal, touch, velocity, rng, n_samples=n_samples, rate_hz=rate_hz)
    return dict(zip(patches, halves, strict=True))


def _pressure(studio: _Studio, name: str, velocity: float, index: int) -> FloatArray:
    """Pressure one metre from each patch, (patches, samples), at the articulation's level."""
    articulation = ARTICULATIONS[name]
    rng = _rng(studio.seed, f"strike {name}", index)
    strike = studio.strikes[name](velocity, rng)
    pressure = np.stack([strike[patch] for patch in articulation.patches])
    level_db = articulation.level_db + rng.uniform(-0.4, 0.4)
    scale = velocity**articulation.dynamics * 10.0 ** (level_db / 20.0)
    return pressure * np.float32(scale)


def _sound_check(studio: _Studio) -> FloatArray:
    """Preamp gain of each channel, as a factor, shape (channels,)."""
    gain = np.ones(len(studio.channels), np.float32)
    rng = _rng(studio.seed, "preamps")
    for channels, names, peak_dbfs in _GAIN_STAGING:
        rows = [studio.channels.index(channel) for channel in channels]
        peak = 0.0
        for name in names:
            responses = studio.responses[name][:, rows]
            pressure = _pressure(studio, name, 1.0, 0)
            peak = max(peak, float(np.abs(_heard(pressure, _spectra(pressure, responses))).max()))
        peak_dbfs += rng.uniform(-1.0, 1.0)
        gain[rows] = 10.0 ** (peak_dbfs / 20.0) / peak
    return gain


def _record(
    studio: _Studio, name: str, *, velocities: NDArray[np.float64], gain: FloatArray
) -> Instrument:
    articulation = ARTICULATIONS[name]
    main = [studio.channels.index(channel) for channel in articulation.main_channels]
    hits = []
    spectra = None
    # Counted from the hardest: that one is the stroke of the sound check, however many there are.
    for index, velocity in enumerate(velocities[::-1]):
        pressure = _pressure(studio, name, float(velocity), index)
        if spectra is None:
            spectra = _spectra(pressure, studio.responses[name]) * gain[:, None]
        heard = _heard(pressure, spectra)
        power = float(np.sum(heard[main] ** 2))
        channels = {
            channel: _trimmed(sound, studio.rate_hz)
            for channel, sound in zip(studio.channels, heard, strict=True)
        }
        hits.append(Hit(power, channels))
    hits.sort(key=lambda hit: hit.power)
    return Instrument(name, articulation.piece, tuple(hits), articulation.main_channels)


def _spectra(pressure: FloatArray, responses: FloatArray) -> NDArray[np.complex64]:
    """Spectra of the responses, long enough to convolve `pressure` without wrapping."""
    n_fft = fft.next_fast_len(pressure.shape[-1] + responses.shape[-1] - 1, real=True)
    spectra: NDArray[np.complex64] = fft.rfft(responses, n_fft)
    return spectra


def _heard(pressure: FloatArray, spectra: NDArray[np.complex64]) -> FloatArray:
    """Sound at each microphone, (microphones, samples), by multiplying spectra."""
    n_fft = 2 * (spectra.shape[-1] - 1)
    patches = fft.rfft(pressure, n_fft)
    sound: FloatArray = fft.irfft((patches[:, None] * spectra).sum(axis=0), n_fft)
    return sound


def _trimmed(sound: FloatArray, rate_hz: int) -> FloatArray:
    """Cuts the tail where it stays below `TRIM_DBFS`, and fades out.

    What never gets that loud (a soft kick in an overhead, say) keeps its loudest 15 dB.
    """
    floor = min(10.0 ** (TRIM_DBFS / 20.0), 0.18 * float(np.abs(sound).max()))
    loud = np.flatnonzero(np.abs(sound) > floor)
    n_fade = int(_FADE_S * rate_hz)
    kept = sound[: (int(loud[-1]) + 1 if len(loud) else 0) + n_fade].copy()
    kept[-n_fade:] *= np.cos(np.linspace(0.0, np.pi / 2.0, n_fade, dtype=np.float32)) ** 2
    return kept
