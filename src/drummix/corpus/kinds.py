"""What an item plays: a performance, or one of the four kinds of ENST-Drums.

=========== ==========================================================================
performance any performance, long ones cut to an excerpt; what a corpus holds if no
            kind is asked for
hits        single strokes of every instrument of the kit, each left to ring
phrase      a performance that the dataset calls a beat, cut to an excerpt if long
solo        fills of one drummer, one after another, each on the beat after the last
minus-one   a beat of one to three minutes, from its first stroke to its last
=========== ==========================================================================

No performance serves two kinds: where both are asked for, minus-one goes before phrase.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drummix.corpus.articulations import PIECE_OF_NOTE
from drummix.corpus.groove import OPEN_HIHAT_NOTES, Performance, PerformedHit, read_midi
from drummix.corpus.kit import Piece

PERFORMANCE = "performance"

KINDS = ("hits", "phrase", "solo", "minus-one")
"""The kinds of ENST-Drums."""

WHOLE_S = (60.0, 180.0)
"""Shortest and longest performance that is played whole."""

_SOLO_S = 20.0

# Each take strikes every instrument at two velocities.
_TAKES = ((20, 83), (41, 104), (62, 125))
_VELOCITY_JITTER = 6
_PAUSE_S = 1.2
_CYMBAL_PAUSE_S = 2.5


@dataclass(frozen=True)
class Material:
    """What one item plays.

    Args:
        kind: ``performance`` or one of `KINDS`.
        part: ``train``, ``validation`` or ``test``.
        performance: Ids of the performances in their dataset, joined by ``+``; for hits a name.
        style: Style of the (first) performance; the kind, for hits.
        duration_s: About how long it is.
        performances: What is played, one after another; none for hits.
        max_s: Longer ones are cut to an excerpt of this length.
        strokes: Notes and velocities of hits, in no order.
    """

    kind: str
    part: str
    performance: str
    style: str
    duration_s: float
    performances: tuple[Performance, ...] = ()
    max_s: float = math.inf
    strokes: tuple[tuple[int, int], ...] = ()


def performances_of(
    index: Sequence[Performance],
    kind: str,
    kinds: Sequence[str],
    *,
    min_s: float,
    max_s: float,
    rng: np.random.Generator,
) -> list[Material]:
    """All that the performances of one part give for a kind, in a random order.

    Args:
        index: The performances of the part.
        kind: ``performance``, ``phrase``, ``solo`` or ``minus-one``.
        kinds: All kinds that are asked for.
        min_s: Shorter material is left out.
        max_s: Longer performances, and series of fills, are cut to this.
        rng: Source of the order.
    """
    if kind == "solo":
        return _solos(index, min_s=min_s, max_s=max_s, rng=rng)
    wanted = [p for p in index if p.duration_s >= min_s and _serves(p, kind, kinds)]
    longest_s = math.inf if kind == "minus-one" else max_s
    return [_material(kind, [wanted[choice]], longest_s) for choice in rng.permutation(len(wanted))]


def _serves(performance: Performance, kind: str, kinds: Sequence[str]) -> bool:
    is_whole = performance.kind == "beat" and WHOLE_S[0] <= performance.duration_s <= WHOLE_S[1]
    if kind == "minus-one":
        return is_whole
    if kind == "phrase":
        return performance.kind == "beat" and not (is_whole and "minus-one" in kinds)
    return True


def _material(kind: str, performances: Sequence[Performance], max_s: float) -> Material:
    first = performances[0]
    seconds = sum(p.duration_s for p in performances)
    return Material(
        kind=kind,
        part=first.part,
        performance="+".join(p.id for p in performances),
        style=first.style,
        duration_s=min(seconds, max_s),
        performances=tuple(performances),
        max_s=max_s,
    )


def _solos(
    index: Sequence[Performance], *, min_s: float, max_s: float, rng: np.random.Generator
) -> list[Material]:
    """Series of fills of one drummer, each until it is long enough."""
    by_drummer: dict[str, list[Performance]] = defaultdict(list)
    for performance in index:
        if performance.kind == "fill":
            by_drummer[performance.id.split("/")[0]].append(performance)
    solos = []
    for _, fills in sorted(by_drummer.items()):
        series: list[Performance] = []
        for choice in rng.permutation(len(fills)):
            series.append(fills[choice])
            if sum(p.duration_s for p in series) >= _SOLO_S:
                solos.append(_material("solo", series, max_s))
                series = []
        if series and sum(p.duration_s for p in series) >= min_s:
            solos.append(_material("solo", series, max_s))
    return [solos[choice] for choice in rng.permutation(len(solos))]


def single_strokes(part: str, notes: Collection[int]) -> list[Material]:
    """Hits of every instrument of a kit, in three takes of two velocities each.

    All instruments are in each take, so that every microphone has something to be set up by.

    Args:
        part: The part they are for.
        notes: A note of each instrument.
    """
    return [
        Material(
            kind="hits",
            part=part,
            # Its own in every part: velocities differ, and recordings too for the test part.
            performance=f"hits/{part}/{number}",
            style="hits",
            duration_s=sum(len(velocities) * _pause_s(note) for note in notes),
            strokes=tuple((note, velocity) for note in notes for velocity in velocities),
        )
        for number, velocities in enumerate(_TAKES, start=1)
    ]


def strokes_of(material: Material, *, rng: np.random.Generator) -> tuple[PerformedHit, ...]:
    """The strokes of an item; their MIDI files are read here.

    Raises:
        CorpusError: If a MIDI file is missing or damaged.
    """
    if material.kind == "hits":
        return _single_strokes(material.strokes, rng=rng)
    played = [(p.bpm, read_midi(p.path)) for p in material.performances]
    return excerpt(one_after_another(played), material.max_s, rng=rng)


def one_after_another(
    played: Sequence[tuple[float, Sequence[PerformedHit]]],
) -> tuple[PerformedHit, ...]:
    """Performances in a row: the first stroke of each falls a beat after the last one before it.

    Args:
        played: Tempo in beats per minute, and strokes, of each.
    """
    if len(played) == 1:
        return tuple(played[0][1])
    row: list[PerformedHit] = []
    for bpm, hits in played:
        if hits:
            start_s = row[-1].time_s + 60.0 / bpm if row else 0.0
            move_s = start_s - hits[0].time_s
            row += [replace(hit, time_s=hit.time_s + move_s) for hit in hits]
    return tuple(row)


def excerpt(
    hits: Sequence[PerformedHit], max_s: float, *, rng: np.random.Generator
) -> tuple[PerformedHit, ...]:
    """The strokes of a random stretch of at most `max_s` seconds, moved to start at 0 s."""
    if not hits:
        return ()
    first_s, last_s = hits[0].time_s, hits[-1].time_s
    start_s = first_s + max(0.0, last_s - first_s - max_s) * float(rng.random())
    return tuple(
        replace(hit, time_s=hit.time_s - start_s)
        for hit in hits
        if start_s <= hit.time_s < start_s + max_s
    )


def _single_strokes(
    strokes: Sequence[tuple[int, int]], *, rng: np.random.Generator
) -> tuple[PerformedHit, ...]:
    """The strokes in random order, each when the one before has rung."""
    hits = []
    time_s = 0.0
    for choice in rng.permutation(len(strokes)):
        note, velocity = strokes[choice]
        velocity += int(rng.integers(-_VELOCITY_JITTER, _VELOCITY_JITTER, endpoint=True))
        hits.append(PerformedHit(time_s, note, min(velocity, 127)))
        time_s += _pause_s(note)
    return tuple(hits)


def _pause_s(note: int) -> float:
    rings = PIECE_OF_NOTE.get(note) in (Piece.RIDE, Piece.CRASH) or note in OPEN_HIHAT_NOTES
    return _CYMBAL_PAUSE_S if rings else _PAUSE_S
