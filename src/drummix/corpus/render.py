"""A performance on a kit: every microphone of the session, bleed included.

Each stroke adds the kit's recording of it to all microphones at once, so the bleed is the kit's
own. The renderer also keeps what only the engineer of a rendered session can know: each piece in
its close microphones without bleed, and the time of every hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drummix.audio import resample
from drummix.corpus.groove import PerformedHit
from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.corpus.strokes import Drummer, HitPool, RenderedHit
from drummix.errors import CorpusError, SettingError
from drummix.levels import db_to_gain

# What still rings at the end of a rendering is faded out over this time.
_FADE_OUT_S = 0.3


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
    tuning_semitones: float = 0.0,
) -> Rendering:
    """Play a performance on a kit.

    How a stroke picks its recording, its level and its end is told in `strokes`.

    Args:
        kit: The kit.
        performance: Strokes in order of time.
        rng: Source of the round robin.
        pool: Which recordings of the kit may sound: ``train`` and ``test`` share none (unless an
            instrument has fewer than four), ``all`` uses every one.
        lead_s: Silence before the performance starts.
        tail_s: Time after the last stroke; longer decays are faded out at the end.
        tuning_semitones: How much higher the kit sounds than recorded, -12 to 12: its recordings
            are played faster or slower, the performance is not.

    Raises:
        CorpusError: If no stroke of the performance has an instrument in the kit.
        SettingError: If the lead, the tail or the tuning is out of range.
    """
    if not (lead_s >= 0.0 and tail_s > 0.0):
        raise SettingError(
            "lead_s",
            lead_s,
            "give 0 or more, and a tail of more than 0",
            problem=f"is {lead_s} and tail_s {tail_s}",
        )
    if not -12.0 <= tuning_semitones <= 12.0:
        raise SettingError("tuning_semitones", tuning_semitones, "give -12 to 12")
    hits = Drummer(kit, pool=pool, rng=rng).play(performance, lead_s=lead_s)
    if not hits:
        notes = sorted({hit.note for hit in performance})
        raise CorpusError(f"kit {kit.name} has no instrument for any of the notes {notes}")
    n_samples = round((hits[-1].time_s + tail_s) * kit.rate_hz)
    microphones, clean = _play_tuned(kit, hits, n_samples, 2.0 ** (tuning_semitones / 12.0))
    tracks = [*microphones.values(), *clean.values()]
    _fade_out(tracks, min(n_samples, round(_FADE_OUT_S * kit.rate_hz)))
    unplayed = {hit.note for hit in performance if hit.note not in kit.note_map}
    return Rendering(kit.rate_hz, microphones, clean, tuple(hits), tuple(sorted(unplayed)))


def _play_tuned(
    kit: Kit, hits: Sequence[RenderedHit], n_samples: int, pitch: float
) -> tuple[dict[str, FloatArray], dict[Piece, FloatArray]]:
    """Play at another pitch: slower by it, then faster as a whole.

    Resampling is linear, so this is to resample each recording, at a fraction of the work.
    """
    played_hz = round(kit.rate_hz * pitch)
    if played_hz == kit.rate_hz:
        return _play(kit, hits, n_samples)
    stretch = played_hz / kit.rate_hz
    stretched = [
        replace(
            hit,
            time_s=hit.time_s * stretch,
            stop_s=None if hit.stop_s is None else hit.stop_s * stretch,
            stop_fade_s=hit.stop_fade_s * stretch,
        )
        for hit in hits
    ]
    microphones, clean = _play(kit, stretched, round(n_samples * stretch))

    def at_pitch(track: FloatArray) -> FloatArray:
        tuned = np.zeros(n_samples, np.float32)
        found = resample(track[np.newaxis], played_hz, kit.rate_hz)[0][:n_samples]
        tuned[: len(found)] = found
        return tuned

    return (
        {channel: at_pitch(track) for channel, track in microphones.items()},
        {piece: at_pitch(track) for piece, track in clean.items()},
    )


def _play(
    kit: Kit, hits: Sequence[RenderedHit], n_samples: int
) -> tuple[dict[str, FloatArray], dict[Piece, FloatArray]]:
    """All microphones, and each piece in its close microphones without bleed."""
    microphones = {name: np.zeros(n_samples, np.float32) for name in kit.channels}
    pieces = {hit.piece for hit in hits}
    clean = {piece: np.zeros(n_samples, np.float32) for piece in sorted(pieces)}
    for hit in hits:
        instrument = kit.instruments[hit.instrument]
        start = round(hit.time_s * kit.rate_hz)
        n_open = None if hit.stop_s is None else max(1, round(hit.stop_s * kit.rate_hz) - start)
        for channel, recording in instrument.hits[hit.sample].channels.items():
            sounding = _sounding(recording, hit, n_open=n_open, rate_hz=kit.rate_hz)
            _add(microphones[channel], sounding, start)
            if channel in instrument.main_channels:
                _add(clean[hit.piece], sounding, start)
    return microphones, clean


def _sounding(
    recording: FloatArray, hit: RenderedHit, *, n_open: int | None, rate_hz: int
) -> FloatArray:
    """A recording at the level of its stroke, faded out where the stroke is stopped."""
    gain = np.float32(db_to_gain(hit.gain_db))
    if n_open is None or n_open >= len(recording):
        return recording * gain
    n_fade = round(hit.stop_fade_s * rate_hz)
    stopped = recording[: n_open + n_fade] * gain
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
