"""A few drum performances that need no files: for the demo, the docs and the tests.

In: a pattern's name, a number of bars, a tempo, a random generator. Out: strokes in time order.
A pattern is written on a grid of sixteenths (or triplets), then played by a human of sorts: time
and velocity wander, ghost notes come and go, sections of four bars end in a fill and begin with
a crash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.groove import PerformedHit
from drummix.errors import SettingError

_KICK, _SIDE_STICK, _SNARE = 36, 37, 38
_CLOSED, _PEDAL, _HALF_OPEN, _OPEN = 42, 44, 46, 26
_TOM_1, _TOM_2, _TOM_3, _TOM_4 = 48, 47, 45, 43
_CRASH_1, _CRASH_2, _RIDE, _BELL = 49, 57, 51, 53

_OPENNESS: Mapping[int, float] = {_CLOSED: 0.0, _PEDAL: 0.0, _HALF_OPEN: 0.5, _OPEN: 1.0}
_TIMING_SD_S = 0.006
_VELOCITY_SD = 6.0
_BARS_PER_SECTION = 4
_LETTERS: Mapping[str, int] = {"X": 112, "x": 88, "o": 66, "g": 30}


@dataclass(frozen=True)
class Pattern:
    """One bar of a groove and what ends a section.

    Args:
        bars: Bars that alternate; note number -> a bar written as one letter per step:
            ``X`` accent, ``x`` normal, ``o`` light, ``g`` ghost (not always played), ``.`` rest.
        fill: The last bar of a section, written likewise.
        default_bpm: Tempo at which it feels right.
        crash: Note that begins a section.
        swing: How late every second eighth comes, as a fraction of a beat (0 is straight).
    """

    bars: tuple[Mapping[int, str], ...]
    fill: Mapping[int, str]
    default_bpm: float
    crash: int = _CRASH_1
    swing: float = 0.0


PATTERNS: Mapping[str, Pattern] = {
    "rock": Pattern(
        bars=(
            {
                _CLOSED: "X.o.X.o.X.o.X.o.",
                _SNARE: "....X..g....X...",
                _KICK: "X.......X.x.....",
            },
            {
                _CLOSED: "X.o.X.o.X.o.X...",
                _OPEN: "..............x.",
                _SNARE: "....X..g.g..X...",
                _KICK: "X.....x.X.x.....",
            },
        ),
        fill={
            _CLOSED: "X.o.X.o.........",
            _SNARE: "....X...xxX.....",
            _TOM_1: "..........xx....",
            _TOM_2: "............Xx..",
            _TOM_4: "..............XX",
            _KICK: "X.......X...X.X.",
        },
        default_bpm=116.0,
    ),
    "funk": Pattern(
        bars=(
            {
                _CLOSED: "XoxoXoxoXoxoXo.o",
                _HALF_OPEN: "..............x.",
                _SNARE: ".g.gX..g.g.gX..g",
                _KICK: "X.x.......x..x..",
            },
            {
                _CLOSED: "XoxoXoxoXo.oXoxo",
                _OPEN: "..........x.....",
                _SNARE: ".g.gX..x.g.gX.gg",
                _KICK: "X..x......x..x..",
            },
        ),
        fill={
            _CLOSED: "XoxoXo..........",
            _SNARE: ".g.gX.xgxXg.x...",
            _TOM_1: "...........x....",
            _TOM_3: ".............x..",
            _TOM_4: "..............Xx",
            _KICK: "X.x.....x...X...",
        },
        default_bpm=98.0,
        crash=_CRASH_2,
    ),
    "jazz-ride": Pattern(
        bars=(
            {
                _RIDE: "x...X.o.x...X.o.",
                _PEDAL: "....X.......X...",
                _SNARE: "..g...o....g..g.",
                _KICK: "o.......g.......",
            },
            {
                _RIDE: "x...X.o.x...X.o.",
                _PEDAL: "....X.......X...",
                _SNARE: "......g...o.....",
                _KICK: "o...g.......g.x.",
            },
        ),
        fill={
            _RIDE: "x...X...........",
            _BELL: "......x.........",
            _PEDAL: "....X.......X...",
            _SNARE: "......o.x.o.....",
            _TOM_1: "..........g.x...",
            _TOM_4: "..............x.",
            _KICK: "o.......o.....x.",
        },
        default_bpm=148.0,
        crash=_CRASH_2,
        swing=1.0 / 6.0,
    ),
    "half-time": Pattern(
        bars=(
            {
                _HALF_OPEN: "X...x...X...x...",
                _SNARE: "......g.X......g",
                _KICK: "X..x......x...x.",
            },
            {
                _HALF_OPEN: "X...x...X...x...",
                _SNARE: "......g.X.g.....",
                _KICK: "X..x.x....x..x..",
            },
        ),
        fill={
            _HALF_OPEN: "X...x...........",
            _SNARE: "........X.......",
            _TOM_1: "..........xx....",
            _TOM_2: "............Xx..",
            _TOM_3: "..............X.",
            _TOM_4: "...............X",
            _KICK: "X..x......x...x.",
        },
        default_bpm=80.0,
    ),
    "side-stick": Pattern(
        bars=(
            {
                _CLOSED: "x.o.x.o.x.o.x.o.",
                _SIDE_STICK: "....x.......x..o",
                _KICK: "X.....o.x.......",
            },
            {
                _CLOSED: "x.o.x.o.x.o.x...",
                _PEDAL: "..............x.",
                _SIDE_STICK: "....x..o....x...",
                _KICK: "X.....o.x.....o.",
            },
        ),
        fill={
            _CLOSED: "x.o.x.o.x.......",
            _SIDE_STICK: "....x.......x...",
            _TOM_1: "..........o.....",
            _TOM_3: ".............o..",
            _TOM_4: "..............x.",
            _KICK: "X.....o.x.......",
        },
        default_bpm=92.0,
        crash=_BELL,
    ),
}


def pattern_hits(
    name: str, *, bars: int, bpm: float | None = None, rng: np.random.Generator
) -> tuple[PerformedHit, ...]:
    """Plays a pattern.

    Args:
        name: One of `PATTERNS`.
        bars: Number of bars of four beats; every fourth and the last are fills.
        bpm: Tempo in beats per minute, 30 to 300; None takes the pattern's own.
        rng: The player's hands: timing, velocity, which ghost notes sound.

    Returns:
        Strokes in order of time, the first at or shortly after 0 s; a crash ends the last bar.

    Raises:
        SettingError: If the name is unknown, or bars or tempo are out of range.
    """
    if name not in PATTERNS:
        raise SettingError("name", name, f"choose one of {', '.join(PATTERNS)}")
    pattern = PATTERNS[name]
    tempo_bpm = pattern.default_bpm if bpm is None else bpm
    if bars < 1:
        raise SettingError("bars", bars, "give 1 or more")
    if not 30.0 <= tempo_bpm <= 300.0:
        raise SettingError("bpm", bpm, "give 30 to 300 beats per minute")
    beat_s = 60.0 / tempo_bpm
    # Timing wanders slowly as well: a drummer leans back and catches up over a bar or so.
    drift_s = _drift(rng, bars + 2)
    hits = [
        _played(beat, note, level, beat_s=beat_s, drift_s=drift_s, rng=rng)
        for beat, note, level in _strokes(pattern, bars, rng)
    ]
    return tuple(sorted(hits, key=lambda hit: (hit.time_s, hit.note)))


def _strokes(
    pattern: Pattern, bars: int, rng: np.random.Generator
) -> Iterator[tuple[float, int, int]]:
    """Beat from the start, note, written velocity; ghost notes that stay silent are left out."""
    for bar in range(bars):
        is_fill = (bar + 1) % _BARS_PER_SECTION == 0 or bar == bars - 1
        written = pattern.fill if is_fill else pattern.bars[bar % len(pattern.bars)]
        begins = bar % _BARS_PER_SECTION == 0
        if begins:
            yield 4.0 * bar, pattern.crash, _LETTERS["X"]
        for note, letters in written.items():
            for step, letter in enumerate(letters):
                if letter == "." or (letter == "g" and rng.random() < 0.2):
                    continue
                # The hand on the crash is not on the hi-hat or the ride.
                if begins and step == 0 and note in (_CLOSED, _HALF_OPEN, _RIDE):
                    continue
                late = pattern.swing if step % 4 == 2 else 0.0
                yield 4.0 * bar + step / 4.0 + late, note, _LETTERS[letter]
    yield 4.0 * bars, pattern.crash, _LETTERS["X"]
    yield 4.0 * bars, _KICK, _LETTERS["X"]


def _drift(rng: np.random.Generator, n_bars: int) -> NDArray[np.float64]:
    steps = rng.normal(0.0, 0.002, n_bars)
    drift = np.zeros(n_bars)
    for bar in range(1, n_bars):
        drift[bar] = 0.7 * drift[bar - 1] + steps[bar]
    return drift


def _played(
    beat: float,
    note: int,
    level: int,
    *,
    beat_s: float,
    drift_s: NDArray[np.float64],
    rng: np.random.Generator,
) -> PerformedHit:
    drift = float(np.interp(beat / 4.0, np.arange(len(drift_s)), drift_s))
    sway_s = float(np.clip(rng.normal(0.0, _TIMING_SD_S), -3 * _TIMING_SD_S, 3 * _TIMING_SD_S))
    velocity = int(np.clip(round(level + rng.normal(0.0, _VELOCITY_SD)), 1, 127))
    time_s = max(0.0, beat * beat_s + drift + sway_s)
    return PerformedHit(time_s, note, velocity, _OPENNESS.get(note, 0.0))
