"""Learning the bus: a plate, a compressor and a tonal balance on the sum, where they help.

Settings are searched on one excerpt of the song and each effect is kept only where it lowers the
residual on another. Then the filters are fitted again, to the mix as it was before the bus: without
the plate's sound and with the compressor's gain taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drummix.effects.chain import Chain, Effect
from drummix.effects.dynamics import compress
from drummix.effects.plate import plate
from drummix.effects.reverse import MixFit
from drummix.gain_staging import StagedStem
from drummix.levels import gain_to_db
from drummix.matching.example import Example, FloatArray
from drummix.matching.learning import LearnedFilters, gather_halves, learn_filters
from drummix.matching.repair import FilterMemory
from drummix.mixers.style_bus import memory_s

EXCERPT_S = 12.0
LEAST_GAIN_DB = 0.1
"""An effect stays only if it lowers the residual on the other excerpt by more."""

_PLATE_DECAYS = (0.2, 0.35, 0.5, 0.65)
_PLATE_SIZES = (0.3, 1.0)
_PREDELAYS_MS = (0.0, 10.0, 25.0)
_PLATE_CUTS: Mapping[str, float] = {"low_cut_hz": 180.0, "high_cut_hz": 7000.0}
_COMPRESSOR_GRID: Mapping[str, Sequence[float]] = {
    "threshold_db": (-3.0, -6.0, -9.0, -12.0, -15.0, -18.0, -24.0),
    "ratio": (1.5, 2.0, 3.0, 5.0, 10.0, 20.0),
    "attack_ms": (0.1, 1.0, 3.0, 10.0, 25.0),
    "release_ms": (30.0, 80.0, 150.0, 300.0, 600.0),
}
_COMPRESSOR_STARTS = (
    {"threshold_db": -12.0, "ratio": 2.0, "attack_ms": 10.0, "release_ms": 150.0},
    {"threshold_db": -6.0, "ratio": 10.0, "attack_ms": 0.1, "release_ms": 80.0},
)
_SHELVES = (("low_shelf", 100.0), ("high_shelf", 8000.0))
_SHELF_GAINS_DB = (-3.0, -1.5, -0.75, 0.75, 1.5, 3.0)
_LEAST_GAIN = 0.1
"""A compressor's gain is taken back by at most 20 dB."""


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A stretch of an example in memory.

    Args:
        rate_hz: Sample rate in Hz.
        dry: What the filters make of the stems (2, samples).
        wanted: The mix beside it.
    """

    rate_hz: int
    dry: FloatArray
    wanted: FloatArray


def learn_bus(
    example: Example,
    part: tuple[int, int],
    learned: LearnedFilters,
    staged: tuple[StagedStem, ...],
) -> tuple[LearnedFilters, Chain]:
    """Find the bus, and the filters that go with it.

    Args:
        example: Stems and mix, aligned.
        part: Where they match.
        learned: The filters that do best without a bus.
        staged: Levels of the stems.

    Returns:
        Filters and bus; the ones given and an empty bus where none brings the mix nearer.
    """
    tried, judged = _excerpts(example, part, learned.fit)
    bus = search_bus(tried, judged)
    if not bus.effects:
        return learned, bus
    plain_db = residual_db(judged, Chain("bus"))
    again = _fit_before(example, part, learned, staged, bus)
    tried, judged = _excerpts(example, part, again.fit)
    second = search_bus(tried, judged)
    if not second.effects:
        return learned, Chain("bus")
    if residual_db(judged, second) > plain_db - LEAST_GAIN_DB:
        return learned, Chain("bus")
    return again, second


def search_bus(tried: Excerpt, judged: Excerpt) -> Chain:
    """The effects that lower the residual on both excerpts, settings as best on `tried`."""
    effects: tuple[Effect, ...] = ()
    reached_db = residual_db(judged, Chain("bus"))
    for search in (_search_plate, _search_compressor, _search_balance):
        found = search(tried, effects)
        if found is None:
            continue
        with_it_db = residual_db(judged, Chain("bus", (*effects, found)))
        if with_it_db <= reached_db - LEAST_GAIN_DB:
            effects, reached_db = (*effects, found), with_it_db
    return Chain("bus", effects)


def residual_db(excerpt: Excerpt, bus: Chain) -> float:
    """Energy of what differs from the mix, beside that of the mix."""
    return _distance_db(bus.apply(excerpt.dry, excerpt.rate_hz), excerpt.wanted)


def _distance_db(made: FloatArray, wanted: FloatArray) -> float:
    rest = (made - wanted).astype(np.float64)
    power = float(np.vdot(rest, rest)) / (float(np.vdot(wanted, wanted)) + 1e-30)
    return 10.0 * float(np.log10(power + 1e-12))


def _search_plate(excerpt: Excerpt, before: tuple[Effect, ...]) -> Effect | None:
    track = Chain("bus", before).apply(excerpt.dry, excerpt.rate_hz)
    missing = (excerpt.wanted - track).astype(np.float64)
    best: tuple[float, Effect] | None = None
    for decay in _PLATE_DECAYS:
        for size in _PLATE_SIZES:
            for predelay_ms in _PREDELAYS_MS:
                settings = {"decay": decay, "size": size, "predelay_ms": predelay_ms}
                wet = plate(
                    track, excerpt.rate_hz, excursion_samples=0.0, **settings, **_PLATE_CUTS
                )
                crossed = float(np.vdot(wet, missing))
                energy = float(np.vdot(wet, wet))
                if crossed <= 0.0 or energy <= 0.0:
                    continue
                explained = crossed**2 / energy
                if best is None or explained > best[0]:
                    wet_db = max(-119.0, float(gain_to_db(crossed / energy)))
                    plain = {"wet_db": round(wet_db, 3), "excursion_samples": 0.0}
                    best = (explained, Effect("plate", {**plain, **settings, **_PLATE_CUTS}))
    return None if best is None else best[1]


def _search_compressor(excerpt: Excerpt, before: tuple[Effect, ...]) -> Effect | None:
    track = Chain("bus", before).apply(excerpt.dry, excerpt.rate_hz)
    peak_db = float(gain_to_db(float(np.quantile(np.abs(track).max(axis=0), 0.9999))))
    cost, cache = _cost_of_compressor(excerpt, track, peak_db), {}

    def known(point: tuple[float, ...]) -> float:
        if point not in cache:
            cache[point] = cost(dict(zip(_COMPRESSOR_GRID, point, strict=True)))
        return cache[point]

    best = min((_descend(tuple(start.values()), known) for start in _COMPRESSOR_STARTS), key=known)
    settings = dict(zip(_COMPRESSOR_GRID, best, strict=True))
    _, makeup_db = _compressed(excerpt, track, peak_db, settings)
    settings["threshold_db"] = round(settings["threshold_db"] + peak_db, 2)
    return Effect("compress", {**settings, "knee_db": 3.0, "makeup_db": round(makeup_db, 3)})


def _descend(
    start: tuple[float, ...], cost: Callable[[tuple[float, ...]], float]
) -> tuple[float, ...]:
    """One setting after the other to its best neighbour, until none gets better."""
    point = start
    for _ in range(8):
        before = point
        for axis, values in enumerate(_COMPRESSOR_GRID.values()):
            place = min(range(len(values)), key=lambda i: abs(values[i] - point[axis]))
            near = {max(0, place - 1), place, min(len(values) - 1, place + 1)}
            options = [(*point[:axis], values[i], *point[axis + 1 :]) for i in sorted(near)]
            point = min([point, *options], key=cost)
        if point == before:
            break
    return point


def _cost_of_compressor(
    excerpt: Excerpt, track: FloatArray, peak_db: float
) -> Callable[[Mapping[str, float]], float]:
    def cost(settings: Mapping[str, float]) -> float:
        made, makeup_db = _compressed(excerpt, track, peak_db, settings)
        return _distance_db(made * np.float32(10.0 ** (makeup_db / 20.0)), excerpt.wanted)

    return cost


def _compressed(
    excerpt: Excerpt, track: FloatArray, peak_db: float, settings: Mapping[str, float]
) -> tuple[FloatArray, float]:
    """The track compressed, and the make-up gain that brings it nearest."""
    made = compress(
        track,
        excerpt.rate_hz,
        threshold_db=settings["threshold_db"] + peak_db,
        ratio=settings["ratio"],
        attack_ms=settings["attack_ms"],
        release_ms=settings["release_ms"],
        knee_db=3.0,
    )
    energy = float(np.vdot(made, made))
    crossed = float(np.vdot(made, excerpt.wanted))
    if energy <= 0.0 or crossed <= 0.0:
        return made, 0.0
    return made, float(np.clip(gain_to_db(crossed / energy), -60.0, 60.0))


def _search_balance(excerpt: Excerpt, before: tuple[Effect, ...]) -> Effect | None:
    track = Chain("bus", before).apply(excerpt.dry, excerpt.rate_hz)
    bands: list[dict[str, Any]] = []
    reached_db = _distance_db(track, excerpt.wanted)
    for kind, frequency_hz in _SHELVES:
        if frequency_hz >= 0.45 * excerpt.rate_hz:
            continue
        best: dict[str, Any] | None = None
        for gain_db in _SHELF_GAINS_DB:
            band = {"kind": kind, "frequency_hz": frequency_hz, "gain_db": gain_db}
            made = Effect("eq", {"bands": [*bands, band]}).apply(track, excerpt.rate_hz)
            distance_db = _distance_db(made, excerpt.wanted)
            if distance_db < reached_db:
                reached_db, best = distance_db, band
        if best is not None:
            bands.append(best)
    return Effect("eq", {"bands": bands}) if bands else None


def _excerpts(example: Example, part: tuple[int, int], fit: MixFit) -> tuple[Excerpt, Excerpt]:
    """One from the first half of the matching part and one from the second."""
    start, stop = part
    rate_hz = example.session.rate_hz
    middle = (start + stop) // 2
    n_samples = min(round(EXCERPT_S * rate_hz), middle - start)
    starts = (start + (middle - start - n_samples) // 2, middle + (stop - middle - n_samples) // 2)
    stops = tuple(first + n_samples for first in starts)
    memory = FilterMemory(fit)
    found: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    wanted: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for first, stems, mix in example.pairs(start, stop, (*starts, *stops)):
        dry = memory(stems)
        for index in (0, 1):
            if starts[index] <= first < stops[index]:
                found[index].append(dry)
                wanted[index].append(mix)
    tried, judged = (
        Excerpt(rate_hz, np.concatenate(dry, axis=1), np.concatenate(mix, axis=1))
        for dry, mix in zip(found, wanted, strict=True)
    )
    return tried, judged


def _fit_before(
    example: Example,
    part: tuple[int, int],
    learned: LearnedFilters,
    staged: tuple[StagedStem, ...],
    bus: Chain,
) -> LearnedFilters:
    """Filters for the mix as it was before the bus."""
    undo = _Undo(learned.fit, bus, example.session.rate_hz)
    n_taps = learned.fit.n_taps
    halves = gather_halves(example, part, n_taps, undo)
    return learn_filters(halves, staged, (n_taps, learned.ridge, learned.held_out))


class _Undo:
    """Takes a bus back from a mix, block by block, knowing about what went into it."""

    def __init__(self, fit: MixFit, bus: Chain, rate_hz: int) -> None:
        self._filters = FilterMemory(fit)
        self._rate_hz = rate_hz
        self._plate = next((e for e in bus.effects if e.name == "plate"), None)
        self._compressor = next((e for e in bus.effects if e.name == "compress"), None)
        self._n_memory = int(memory_s(bus) * rate_hz) + 1
        self._past = np.zeros((2, 0), np.float32)

    def __call__(self, first: int, stems: FloatArray, mix: FloatArray) -> FloatArray:
        dry = self._filters(stems)
        joined = np.concatenate([self._past, dry], axis=1)
        self._past = joined[:, -self._n_memory :]
        added = np.zeros_like(joined)
        if self._plate is not None:
            added = self._plate.apply(joined, self._rate_hz) - joined
        undone = mix
        if self._compressor is not None:
            ones = np.ones((1, joined.shape[1]), np.float32)
            settings = self._compressor.settings
            gain = compress(ones, self._rate_hz, **settings, sidechain=joined + added)
            undone = np.asarray(
                mix / np.maximum(gain[:, -mix.shape[1] :], _LEAST_GAIN), dtype=np.float32
            )
        return undone - added[:, -mix.shape[1] :]
