"""Learning the bus: a plate, a compressor and a tonal balance on the sum, where they help.

Settings are searched on one excerpt of the song and each effect is kept only where it lowers the
residual on another. Then the filters are fitted again, to the mix as it was before the bus: without
the plate's sound and with the compressor's gain taken back; and the bus once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.effects.chain import Chain, Effect
from drummix.effects.dynamics import compress
from drummix.effects.reverse import MixFit
from drummix.gain_staging import StagedStem
from drummix.levels import db_to_gain, gain_to_db
from drummix.matching.example import Example, FloatArray
from drummix.matching.learning import (
    LearnedFilters,
    choose_taps,
    gather_halves,
    learn_filters,
)
from drummix.matching.plates import FoundPlate, find_plate, refine_plate
from drummix.matching.repair import FilterMemory
from drummix.mixers.style_bus import FedBus, memory_s

DoubleArray = NDArray[np.float64]

EXCERPT_S = 12.0
LEAST_GAIN_DB = 0.1
"""An effect stays only if it lowers the residual on the other excerpt by more."""

UNHEARD_RESIDUAL = 1e-6
"""Where the filters leave less than this share of a mix (-60 dB), no bus is looked for."""

_LEAST_SEND_DB = -20.0
"""What is sent to the plate this far below the loudest send is not sent."""
_MOST_SENDERS = 12
"""So many microphones have sends of their own, the loudest; all others share one."""

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
        monos: Of each microphone alone, the mean of both channels (mics, samples).
    """

    rate_hz: int
    dry: FloatArray
    wanted: FloatArray
    monos: FloatArray


@dataclass(frozen=True, eq=False)
class LearnedBus:
    """A bus, and what its plate hears.

    Args:
        chain: Effects in order; a plate, where there is one, is the first.
        sends_db: What each microphone sends to the plate beside what the sum hears of it, in dB;
            None for nothing. All at 0 is a plate that hears the sum.
        plate: The plate as it was found, for another search to begin with.
    """

    chain: Chain
    sends_db: tuple[float | None, ...]
    plate: FoundPlate | None = None

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right of the plate are exchanged."""
        return self.plate is not None and self.plate.is_mirrored

    @property
    def sends(self) -> DoubleArray:
        """Linear sends (mics,)."""
        return np.array([0.0 if db is None else db_to_gain(db) for db in self.sends_db])

    def effect(self, name: str) -> Effect | None:
        """The effect of that name, if there is one."""
        return next((effect for effect in self.chain.effects if effect.name == name), None)

    def plate_return(self, sent: FloatArray, rate_hz: int) -> FloatArray | None:
        """What its plate makes of what is sent to it (1, samples); None without a plate."""
        if self.plate is None:
            return None
        return FedBus(self.chain, self.is_mirrored).plate_return(sent, rate_hz)

    def apply(self, excerpt: Excerpt) -> FloatArray:
        """What it makes of an excerpt (2, samples)."""
        if self.plate is None:
            return self.chain.apply(excerpt.dry, excerpt.rate_hz)
        sent = (self.sends @ excerpt.monos).astype(np.float32)[np.newaxis]
        three = np.concatenate([excerpt.dry, sent])
        return FedBus(self.chain, self.is_mirrored).apply(three, excerpt.rate_hz)

    def then(self, effect: Effect) -> LearnedBus:
        """The same with another effect at its end."""
        return replace(self, chain=Chain("bus", (*self.chain.effects, effect)))


def no_bus(n_mics: int) -> LearnedBus:
    """A bus that does nothing."""
    return LearnedBus(Chain("bus"), (0.0,) * n_mics)


def learn_bus(
    example: Example,
    part: tuple[int, int],
    learned: LearnedFilters,
    staged: tuple[StagedStem, ...],
) -> tuple[LearnedFilters, LearnedBus]:
    """Find the bus, and the filters that go with it.

    Args:
        example: Stems and mix, aligned.
        part: Where they match.
        learned: The filters that do best without a bus.
        staged: Levels of the stems.

    Returns:
        Filters and bus; the ones given and an empty bus where none brings the mix nearer.
    """
    plain = no_bus(len(staged))
    if learned.held_out_residual < UNHEARD_RESIDUAL:
        return learned, plain
    tried, judged = _excerpts(example, part, learned.fit)
    bus = search_bus(tried, judged)
    if not bus.chain.effects:
        return learned, plain
    plain_db = residual_db(judged, plain)
    again = _fit_before(example, part, learned, staged, bus)
    tried, judged = _excerpts(example, part, again.fit)
    second = search_bus(tried, judged, near=bus)
    if not second.chain.effects or residual_db(judged, second) > plain_db - LEAST_GAIN_DB:
        return learned, plain
    return again, second


def search_bus(tried: Excerpt, judged: Excerpt, *, near: LearnedBus | None = None) -> LearnedBus:
    """The effects that lower the residual on both excerpts, settings as best on `tried`.

    Args:
        tried: The excerpt that settings are fitted to.
        judged: The one that decides which effects stay.
        near: A bus that was found before, whose plate need only be refined.
    """
    bus = no_bus(tried.monos.shape[0])
    reached_db = residual_db(judged, bus)
    for found in _search_plate(tried, near):
        # All microphones at one send come first: other sends must do better than that.
        with_it_db = residual_db(judged, found)
        if with_it_db <= reached_db - LEAST_GAIN_DB:
            bus, reached_db = found, with_it_db
    for search in (_search_compressor, _search_balance):
        effect = search(tried, bus.apply(tried))
        if effect is None:
            continue
        with_it_db = residual_db(judged, bus.then(effect))
        if with_it_db <= reached_db - LEAST_GAIN_DB:
            bus, reached_db = bus.then(effect), with_it_db
    return bus


def residual_db(excerpt: Excerpt, bus: LearnedBus) -> float:
    """Energy of what differs from the mix, beside that of the mix."""
    return _distance_db(bus.apply(excerpt), excerpt.wanted)


def _distance_db(made: FloatArray, wanted: FloatArray) -> float:
    rest = (made - wanted).astype(np.float64)
    power = float(np.vdot(rest, rest)) / (float(np.vdot(wanted, wanted)) + 1e-30)
    return 10.0 * float(np.log10(power + 1e-12))


def _search_plate(excerpt: Excerpt, near: LearnedBus | None) -> list[LearnedBus]:
    """The plate that is in an excerpt, heard by the sum, and by sends of the microphones' own."""
    wanted = excerpt.wanted
    if near is not None and (compressor := near.effect("compress")) is not None:
        before = replace(near, chain=Chain("bus", near.chain.effects[: near.plate is not None]))
        wanted = wanted / _gain_of(compressor, before.apply(excerpt), excerpt.rate_hz)
    missing = wanted - excerpt.dry
    groups = _senders(excerpt.monos)
    monos = np.stack([excerpt.monos[groups == group].sum(axis=0) for group in np.unique(groups)])
    if near is None:
        found = find_plate(monos, missing, excerpt.rate_hz)
    elif near.plate is None:
        found = None
    else:
        start, is_mirrored = near.plate.settings, near.plate.is_mirrored
        found = refine_plate(
            monos, missing, excerpt.rate_hz, start=start, is_mirrored=is_mirrored, is_near=True
        )
    if found is None:
        return []
    options = (np.full(groups.size, found.even_send), found.sends[groups])
    return [_bus_of(found, sends, excerpt.rate_hz) for sends in options if np.any(sends > 0.0)]


def _senders(monos: FloatArray) -> NDArray[np.int64]:
    """Which of the sends each microphone has."""
    energy = np.einsum("in,in->i", monos, monos, dtype=np.float64)
    rank = np.argsort(np.argsort(-energy))
    return np.minimum(rank, _MOST_SENDERS - 1)


def _bus_of(found: FoundPlate, sends: DoubleArray, rate_hz: int) -> LearnedBus:
    """A bus of that plate alone, its level that of the loudest send."""
    loudest = float(np.max(sends))
    beside_db = gain_to_db(np.maximum(sends / loudest, 1e-9))
    sends_db = tuple(round(float(db), 2) if db > _LEAST_SEND_DB else None for db in beside_db)
    wet_db = min(max(float(gain_to_db(loudest)), -119.0), 59.0)
    settings = {"wet_db": round(wet_db, 3), **found.settings.to_plain(rate_hz)}
    return LearnedBus(Chain("bus", (Effect("plate", settings),)), sends_db, found)


def _search_compressor(excerpt: Excerpt, track: FloatArray) -> Effect | None:
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
        return _distance_db(made * np.float32(db_to_gain(makeup_db)), excerpt.wanted)

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


def _search_balance(excerpt: Excerpt, track: FloatArray) -> Effect | None:
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
    found: tuple[list[tuple[FloatArray, ...]], ...] = ([], [])
    for first, stems, mix in example.pairs(start, stop, (*starts, *stops)):
        inside = [index for index in (0, 1) if starts[index] <= first < stops[index]]
        if inside:
            dry, monos = memory.with_monos(stems)
            found[inside[0]].append((dry, mix, monos))
        else:
            memory(stems)
    tried, judged = (
        Excerpt(rate_hz, *(np.concatenate(rows, axis=1) for rows in zip(*blocks, strict=True)))
        for blocks in found
    )
    return tried, judged


def _fit_before(
    example: Example,
    part: tuple[int, int],
    learned: LearnedFilters,
    staged: tuple[StagedStem, ...],
    bus: LearnedBus,
) -> LearnedFilters:
    """Filters for the mix as it was before the bus: longer ones, where it hid that they help."""
    undo = _Undo(learned.fit, bus, example.session.rate_hz)
    max_taps = learned.equations.n_taps
    halves = gather_halves(example, part, max_taps, undo)
    n_taps, ridge, _ = choose_taps(halves, max_taps=max_taps)
    return learn_filters(halves, staged, (n_taps, ridge, learned.held_out))


class _Undo:
    """Takes a bus back from a mix, block by block, knowing about what went into it."""

    def __init__(self, fit: MixFit, bus: LearnedBus, rate_hz: int) -> None:
        sent = np.einsum("i,cit->it", bus.sends / 2.0, fit.filters)
        self._filters = FilterMemory(
            replace(fit, filters=np.concatenate([fit.filters, sent[np.newaxis]]))
        )
        self._rate_hz = rate_hz
        self._bus = bus
        self._compressor = bus.effect("compress")
        self._n_memory = int(memory_s(bus.chain) * rate_hz) + 1
        self._past = np.zeros((3, 0), np.float32)

    def __call__(self, first: int, stems: FloatArray, mix: FloatArray) -> FloatArray:
        made = self._filters(stems)
        joined = np.concatenate([self._past, made], axis=1)
        self._past = joined[:, -self._n_memory :]
        added = self._bus.plate_return(joined[2:], self._rate_hz)
        if added is None:
            added = np.zeros_like(joined[:2])
        undone = mix
        if self._compressor is not None:
            gain = _gain_of(self._compressor, joined[:2] + added, self._rate_hz)
            undone = mix / gain[:, -mix.shape[1] :]
        return undone - added[:, -mix.shape[1] :]


def _gain_of(compressor: Effect, track: FloatArray, rate_hz: int) -> FloatArray:
    """The gain that a compressor gives a track (1, samples), make-up and all."""
    ones = np.ones((1, track.shape[1]), np.float32)
    gain = compress(ones, rate_hz, **compressor.settings, sidechain=track)
    return np.maximum(gain, np.float32(_LEAST_GAIN))
