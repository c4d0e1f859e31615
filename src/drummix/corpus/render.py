"""A performance on a kit: every microphone of the session, bleed included.

Each stroke adds the kit's recording of it to all microphones at once, so the bleed is the kit's
own. The renderer also keeps what only the engineer of a rendered session can know: each piece in
its close microphones without bleed, and the time of every hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drummix.corpus.groove import PerformedHit
from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.errors import CorpusError, SettingError

HitPool = Literal["train", "test", "all"]

# Of every four recordings of an instrument, in order of power, one is kept from training.
_HELD_OUT_OF = 4
_HELD_OUT_AT = 2

# How fast a closing hi-hat stops the open one.
_CHOKE_S = 0.04

# What still rings at the end of a rendering is faded out over this time.
_FADE_OUT_S = 0.3


@dataclass(frozen=True)
class RenderedHit:
    """A stroke as it was rendered.

    Args:
        time_s: Seconds from the start of the rendering.
        piece: Piece of the kit.
        instrument: Articulation of the kit.
        velocity: MIDI velocity, 1 to 127.
        sample: Index of the recording among the instrument's hits, softest first.
    """

    time_s: float
    piece: Piece
    instrument: str
    velocity: int
    sample: int


@dataclass(frozen=True, eq=False)
class Rendering:
    """A rendered session and what its engineer knows.

    Args:
        rate_hz: Sample rate in Hz.
        microphones: Channel name of the kit -> samples (N,).
        clean: Piece -> samples (N,): the piece in its own close microphones, without bleed.
        hits: Every stroke, in order of time.
        unplayed_notes: Notes of the performance that the kit has no instrument for.
    """

    rate_hz: int
    microphones: Mapping[str, FloatArray]
    clean: Mapping[Piece, FloatArray]
    hits: tuple[RenderedHit, ...]
    unplayed_notes: tuple[int, ...]

    @property
    def n_samples(self) -> int:
        """Length of every microphone in samples."""
        return len(next(iter(self.microphones.values())))

    def onsets(self, *pieces: Piece) -> np.ndarray:
        """Sample indices of the strokes on `pieces`, in order."""
        times = [hit.time_s for hit in self.hits if hit.piece in pieces]
        return np.round(np.array(times) * self.rate_hz).astype(np.int64)


def render_performance(
    kit: Kit,
    performance: Sequence[PerformedHit],
    *,
    rng: np.random.Generator,
    pool: HitPool = "all",
    lead_s: float = 0.25,
    tail_s: float = 1.5,
) -> Rendering:
    """Play a performance on a kit.

    MIDI velocity picks a recording by its rank in loudness, with round robin among neighbours.

    Args:
        kit: The kit.
        performance: Strokes in order of time.
        rng: Source of the round robin.
        pool: Which recordings of the kit may sound: ``train`` and ``test`` share none (unless an
            instrument has fewer than four), ``all`` uses every one.
        lead_s: Silence before the performance starts.
        tail_s: Time after the last stroke; longer decays are faded out at the end.

    Raises:
        CorpusError: If no stroke of the performance has an instrument in the kit.
        SettingError: If the lead or the tail is out of range.
    """
    if not (lead_s >= 0.0 and tail_s > 0.0):
        raise SettingError(f"lead of {lead_s} s, tail of {tail_s} s; give 0 or more, more than 0")
    hits = _choose_recordings(kit, performance, rng=rng, pool=pool, lead_s=lead_s)
    if not hits:
        notes = sorted({hit.note for hit in performance})
        raise CorpusError(f"kit {kit.name} has no instrument for any of the notes {notes}")
    n_samples = round((hits[-1].time_s + tail_s) * kit.rate_hz)
    microphones, clean = _play(kit, hits, n_samples)
    tracks = [*microphones.values(), *clean.values()]
    _fade_out(tracks, min(n_samples, round(_FADE_OUT_S * kit.rate_hz)))
    unplayed = {hit.note for hit in performance if hit.note not in kit.note_map}
    return Rendering(kit.rate_hz, microphones, clean, tuple(hits), tuple(sorted(unplayed)))


def _play(
    kit: Kit, hits: Sequence[RenderedHit], n_samples: int
) -> tuple[dict[str, FloatArray], dict[Piece, FloatArray]]:
    """All microphones, and each piece in its close microphones without bleed."""
    microphones = {name: np.zeros(n_samples, np.float32) for name in kit.channels}
    pieces = {hit.piece for hit in hits}
    clean = {piece: np.zeros(n_samples, np.float32) for piece in sorted(pieces)}
    for hit, end_s in zip(hits, _choke_times(kit, hits), strict=True):
        instrument = kit.instruments[hit.instrument]
        recorded = instrument.hits[hit.sample]
        start = round(hit.time_s * kit.rate_hz)
        n_open = None if end_s is None else max(1, round(end_s * kit.rate_hz) - start)
        for channel, recording in recorded.channels.items():
            sounding = _choked(recording, n_open, kit.rate_hz)
            if recorded.is_normalised:
                sounding = sounding * np.float32(hit.velocity / 127)
            _add(microphones[channel], sounding, start)
            if channel in instrument.main_channels:
                _add(clean[hit.piece], sounding, start)
    return microphones, clean


def pool_indices(n_hits: int, pool: HitPool) -> list[int]:
    """Indices of an instrument's recordings that belong to a pool.

    >>> pool_indices(6, "train"), pool_indices(6, "test")
    ([0, 1, 3, 4, 5], [2])
    """
    if pool == "all" or n_hits < _HELD_OUT_OF:
        return list(range(n_hits))
    held_out = pool == "test"
    return [i for i in range(n_hits) if (i % _HELD_OUT_OF == _HELD_OUT_AT) == held_out]


def _choose_recordings(
    kit: Kit,
    performance: Iterable[PerformedHit],
    *,
    rng: np.random.Generator,
    pool: HitPool,
    lead_s: float,
) -> list[RenderedHit]:
    chosen: list[RenderedHit] = []
    last: dict[str, int] = {}
    for stroke in sorted(performance, key=lambda hit: hit.time_s):
        name = kit.note_map.get(stroke.note)
        if name is None:
            continue
        instrument = kit.instruments[name]
        sample = _recording_for(instrument, stroke.velocity, last.get(name), rng=rng, pool=pool)
        last[name] = sample
        chosen.append(
            RenderedHit(stroke.time_s + lead_s, instrument.piece, name, stroke.velocity, sample)
        )
    return chosen


def _recording_for(
    instrument: Instrument,
    velocity: int,
    last: int | None,
    *,
    rng: np.random.Generator,
    pool: HitPool,
) -> int:
    indices = pool_indices(len(instrument.hits), pool)
    rank = (min(max(velocity, 1), 127) - 1) / 126 * (len(indices) - 1)
    nearest = round(rank)
    neighbours = indices[max(0, nearest - 1) : nearest + 2]
    fresh = [index for index in neighbours if index != last] or neighbours
    return fresh[int(rng.integers(len(fresh)))]


def _choke_times(kit: Kit, hits: Sequence[RenderedHit]) -> list[float | None]:
    """For each hit, when a later stroke stops its ringing (None: never)."""
    ends: list[float | None] = [None] * len(hits)
    ringing: dict[str, list[int]] = {}
    for index, hit in enumerate(hits):
        for stopped in kit.chokes.get(hit.instrument, ()):
            for earlier in ringing.pop(stopped, []):
                ends[earlier] = hit.time_s
        ringing.setdefault(hit.instrument, []).append(index)
    return ends


def _choked(recording: FloatArray, n_open: int | None, rate_hz: int) -> FloatArray:
    if n_open is None or n_open >= len(recording):
        return recording
    n_fade = round(_CHOKE_S * rate_hz)
    stopped = recording[: n_open + n_fade].copy()
    tail = stopped[n_open:]
    tail *= np.cos(np.linspace(0, np.pi / 2, n_fade, dtype=np.float32))[: len(tail)]
    return stopped


def _add(track: FloatArray, recording: FloatArray, start: int) -> None:
    room = track[start : start + len(recording)]
    room += recording[: len(room)]


def _fade_out(tracks: Sequence[FloatArray], n_fade: int) -> None:
    curve = np.cos(np.linspace(0, np.pi / 2, n_fade, dtype=np.float32)) ** 2
    for track in tracks:
        track[len(track) - n_fade :] *= curve


def loud_hits(instruments: Iterable[Instrument], *, share: float = 1 / 3) -> list[Hit]:
    """The most powerful `share` of the hits of each instrument, at least one each."""
    loud: list[Hit] = []
    for instrument in instruments:
        loud.extend(instrument.hits[-max(1, round(share * len(instrument.hits))) :])
    return loud
